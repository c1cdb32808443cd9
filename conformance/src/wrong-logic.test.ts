import { wrongLogicScenarios } from "./scenarios/bad-input/wrong-logic.ts";
import { gatewayCommands } from "./worlds/program.ts";

for (const command of gatewayCommands) {
  wrongLogicScenarios(command);
}
