/** What the configuration of each target knows: a word on each key and an example. */
export interface KeyHelp {
  key: string;
  help: string;
  example: unknown;
}

const machine: KeyHelp[] = [
  { key: "cpus", help: "Cores that an item sets aside.", example: 4 },
  { key: "memory", help: "Memory that an item sets aside.", example: "16g" },
  { key: "gpus", help: "GPUs that an item sets aside.", example: 1 },
];

export const keyHelp: Record<string, KeyHelp[]> = {
  process: [...machine, { key: "env", help: "Variables of the job; secret:NAME is looked up by the agent.", example: { OMP_NUM_THREADS: "4" } }],
  docker: [
    ...machine,
    { key: "env", help: "Variables of the job; secret:NAME is looked up by the agent.", example: { HF_TOKEN: "secret:HF" } },
    { key: "volume", help: "Folders of the machine in the container.", example: ["/data:/data:ro"] },
    { key: "shm-size", help: "Shared memory, for loaders of data.", example: "8g" },
    { key: "network", help: "The network that the container joins.", example: "host" },
    { key: "user", help: "The user that the job runs as.", example: "1000:1000" },
    { key: "builder", help: "How images are built; base_image begins them.", example: { base_image: "python:3.11-slim" } },
  ],
  kubernetes: [
    { key: "kind", help: "Kind of the object.", example: "Job" },
    { key: "namespace", help: "Where it is made.", example: "default" },
    { key: "spec", help: "The manifest's own spec.", example: { template: { spec: { containers: [{ resources: { limits: { "nvidia.com/gpu": 1 } } }], restartPolicy: "Never" } } } },
  ],
  slurm: [
    { key: "partition", help: "Partition of the cluster.", example: "gpu" },
    { key: "time", help: "Longest run.", example: "04:00:00" },
    { key: "gres", help: "Generic resources.", example: "gpu:1" },
    { key: "cpus-per-task", help: "Cores of the task.", example: 8 },
    { key: "mem", help: "Memory of the job.", example: "32G" },
  ],
  sagemaker: [
    { key: "RoleArn", help: "Role of the training job.", example: "arn:aws:iam::123456789012:role/training" },
    { key: "ResourceConfig", help: "Machines of the training job.", example: { InstanceType: "ml.g5.xlarge", InstanceCount: 1, VolumeSizeInGB: 50 } },
    { key: "StoppingCondition", help: "Longest run.", example: { MaxRuntimeInSeconds: 86_400 } },
  ],
  vertex: [
    { key: "spec", help: "The custom job's spec.", example: { worker_pool_specs: [{ machine_spec: { machine_type: "n1-standard-8" }, replica_count: 1 }] } },
    { key: "run", help: "How it is started.", example: { restart_job_on_worker_restart: false } },
  ],
};
