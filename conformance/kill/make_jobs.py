"""Makes a code job of every folder below the one that is named, by the real client, within one run of it.

`python make_jobs.py ENTITY PROJECT FOLDER`: the jobs have the names of their folders. The client's own command makes a
run for each job; a kill test needs dozens.
"""

import json
import sys
from pathlib import Path

import wandb
from wandb.sdk.artifacts._internal_artifact import InternalArtifact

entity, project, root = sys.argv[1:]
with wandb.init(entity=entity, project=project, settings={"silent": True, "disable_job_creation": True}) as run:
    codes = {}
    for folder in sorted(Path(root).iterdir()):
        code = InternalArtifact(name=f"code-{folder.name}", type="code")
        code.add_dir(str(folder))
        codes[folder.name] = run.log_artifact(code)
    jobs = []
    for name, code in codes.items():
        code.wait()
        job = InternalArtifact(name=name, type="job")
        with job.new_file("wandb-job.json") as file:
            source = {
                "artifact": f"wandb-artifact://_id/{code.id}",
                "entrypoint": ["python", "work.py"],
                "notebook": False,
            }
            text = {
                "_version": "v0",
                "source_type": "artifact",
                "source": source,
                "input_types": {"wb_type": "typedDict", "params": {"type_map": {}}},
                "output_types": {"wb_type": "typedDict", "params": {"type_map": {}}},
                "runtime": f"{sys.version_info.major}.{sys.version_info.minor}",
            }
            json.dump(text, file)
        jobs.append(run.log_artifact(job, aliases=["latest"]))
    for job in jobs:
        job.wait()
