/** The commands of the first steps. They are run one after the other in a shell as they stand, by somebody who has a key and
    nothing else. */
import { shellWord } from "../../format/text";

export interface StepsFor {
  /** Where the server is. */
  origin: string;
  /** The entity that everything is made in: one's own, or a team. */
  entity: string;
  /** A queue of the entity that is there, one that an agent polls if there is one. */
  queue: { name: string; isPolled: boolean } | null;
  /** A version of a job of the entity, if there is one. */
  job: string | null;
}

/** The project, the job and the queue that the steps make. */
const PROJECT = "first";
const JOB = "train";
const QUEUE = "default";

/** The script says neither entity nor project: it goes where it is told, also when it is launched. */
const script = `mkdir -p first && cd first
echo wandb > requirements.txt
cat > train.py <<'END'
import wandb

with wandb.init(config={"lr": 0.1}) as run:
    for step in range(10):
        run.log({"loss": run.config.lr / (step + 1)})
END`;

export function commandsOf({ origin, entity, queue, job }: StepsFor) {
  const of = `-e ${shellWord(entity)}`;
  const on = `-q ${shellWord(queue?.name ?? QUEUE)} ${of}`;
  return {
    // Clients keep the key in ~/.netrc, and know by the variable which server is meant.
    logIn: `pip install wandb\nexport WANDB_BASE_URL=${origin}\nwandb login --host ${origin}`,
    track: `${script}\nWANDB_ENTITY=${shellWord(entity)} WANDB_PROJECT=${PROJECT} python3 train.py`,
    makeJob: `lanza job create code train.py -n ${JOB} -p ${PROJECT} ${of}`,
    launch: [
      ...(queue ? [] : [`lanza queue create ${QUEUE} ${of} --target process`]),
      ...(queue?.isPolled ? [] : [`lanza agent ${on} &`]),
      `lanza launch ${on} -p ${PROJECT} -j ${shellWord(job ?? `${entity}/${PROJECT}/${JOB}:latest`)}`,
    ].join("\n"),
  };
}
