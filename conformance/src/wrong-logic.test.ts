import { wrongLogicScenarios } from "./scenarios/bad-input/wrong-logic.ts";
import { gatewayCommands } from "./world.ts";

for (const command of gatewayCommands) {
  wrongLogicScenarios(command);
}
