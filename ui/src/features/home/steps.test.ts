import { expect, test } from "vitest";
import { commandsOf } from "./steps";

const of = (some: object) => commandsOf({ origin: "http://lanza.example", entity: "team-b", queue: null, job: null, ...some });

test("every step is of the same entity, and makes what the next one needs", () => {
  const { track, makeJob, launch } = of({});
  expect(track).toContain("cat > train.py");
  expect(track).toContain("WANDB_ENTITY=team-b WANDB_PROJECT=first python3 train.py");
  expect(makeJob).toBe("lanza job create code train.py -n train -p first -e team-b");
  expect(launch.split("\n")).toEqual(["lanza queue create default -e team-b --target process", "lanza agent -q default -e team-b &", "lanza launch -q default -e team-b -p first -j team-b/first/train:latest"]);
});

test("a queue that is there is used, and an agent is started where none polls", () => {
  expect(of({ queue: { name: "gpu", isPolled: false } }).launch.split("\n")).toEqual(["lanza agent -q gpu -e team-b &", "lanza launch -q gpu -e team-b -p first -j team-b/first/train:latest"]);
  expect(of({ queue: { name: "gpu", isPolled: true }, job: "team-b/first/train:v2" }).launch).toBe("lanza launch -q gpu -e team-b -p first -j team-b/first/train:v2");
});
