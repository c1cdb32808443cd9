import { wrongLogicScenarios } from "./scenarios/bad-input/wrong-logic.ts";

wrongLogicScenarios();
