//! The journal of one attempt: what was leased, what was about to be done, how it ended.
//!
//! A file of lines, each an entry, in the attempt's folder. What decides is on the disk before it is acted on; what
//! only informs (phases, warnings) is written and left to the system. A last line that was cut short by a crash did
//! not happen.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lanza_api::{
    agent::{Lease, PhaseReport, Reserved},
    item::{ItemEnvironment, ItemSource, Outcome},
};
use lanza_model::{Phase, clock::Time};
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use crate::state_dir::make_dir;

const FILE: &str = "journal.jsonl";
/// Version of the entries. It grows when an older agent would misread them; kinds of entries that only inform may be
/// added without that, since an agent passes over those that it does not know.
const VERSION: u32 = 1;
/// What is set aside on the disk for the entries to come, so that an attempt that has begun can be carried to its end
/// though the disk is full by then, bytes.
const RESERVED: u64 = 32 << 10;

/// One line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// The server offered the item; it is about to be acknowledged.
    Leased {
        /// Id under which this agent took it.
        agent: String,
        /// The offer.
        lease: Box<Lease>,
        /// When.
        at: Time,
        /// What was set aside for it.
        #[serde(default)]
        reserved: Reserved,
        /// Version of this journal.
        #[serde(default = "first_version")]
        version: u32,
    },
    /// The server knows that this agent works on it.
    Acknowledged,
    /// A phase began or ended.
    Phase {
        /// The phase and its times.
        phase: PhaseReport,
    },
    /// Something did not go well and did not matter.
    Warning {
        /// What.
        text: String,
    },
    /// The environment was found or built.
    Environment {
        /// Which.
        environment: ItemEnvironment,
        /// Name of its virtual environment, for target `process`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        venv: Option<String>,
    },
    /// The source was found.
    Source {
        /// Which.
        source: ItemSource,
    },
    /// The workload is about to be started: from here it may exist.
    Starting {
        /// The boot on which it is started.
        boot: String,
    },
    /// Somebody asked to stop it.
    Stop {
        /// Time between TERM and KILL.
        grace_ms: u64,
    },
    /// It ended; the outcome is about to be reported.
    Ended {
        /// How.
        outcome: Box<Outcome>,
    },
    /// The server has the outcome.
    Reported,
    /// The item belongs to somebody else: nothing is reported.
    Forgotten,
}

/// The version of journals that do not say theirs.
fn first_version() -> u32 {
    1
}

impl Entry {
    /// Whether the entry must be on the disk before the agent goes on.
    fn decides(&self) -> bool {
        matches!(
            self,
            Self::Leased { .. } | Self::Starting { .. } | Self::Stop { .. } | Self::Ended { .. } | Self::Forgotten
        )
    }
}

/// Everything that the entries say together.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) agent: String,
    pub(crate) lease: Arc<Lease>,
    /// When it was leased.
    pub(crate) leased_at: Time,
    pub(crate) reserved: Reserved,
    pub(crate) acknowledged: bool,
    pub(crate) phases: Vec<PhaseReport>,
    pub(crate) warnings: Vec<String>,
    pub(crate) environment: Option<ItemEnvironment>,
    pub(crate) source: Option<ItemSource>,
    pub(crate) starting: Option<String>,
    pub(crate) stop: Option<Duration>,
    pub(crate) outcome: Option<Outcome>,
    /// Nothing remains to be done.
    pub(crate) closed: bool,
}

impl State {
    /// What the first entry says.
    fn new(agent: String, lease: Lease, leased_at: Time, reserved: Reserved) -> Self {
        Self {
            agent,
            lease: Arc::new(lease),
            leased_at,
            reserved,
            acknowledged: false,
            phases: Vec::new(),
            warnings: Vec::new(),
            environment: None,
            source: None,
            starting: None,
            stop: None,
            outcome: None,
            closed: false,
        }
    }

    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Leased { agent, lease, at, reserved, .. } => {
                self.agent = agent;
                self.lease = Arc::from(lease);
                self.leased_at = at;
                self.reserved = reserved;
            }
            Entry::Acknowledged => self.acknowledged = true,
            Entry::Phase { phase } => match self.phases.iter_mut().find(|p| p.name == phase.name) {
                Some(known) => *known = phase,
                None => self.phases.push(phase),
            },
            Entry::Warning { text } => {
                if !self.warnings.contains(&text) {
                    self.warnings.push(text);
                }
            }
            Entry::Environment { environment, .. } => self.environment = Some(environment),
            Entry::Source { source } => self.source = Some(source),
            Entry::Starting { boot } => self.starting = Some(boot),
            Entry::Stop { grace_ms } => self.stop = Some(Duration::from_millis(grace_ms)),
            Entry::Ended { outcome } => self.outcome = Some(*outcome),
            Entry::Reported | Entry::Forgotten => self.closed = true,
        }
    }

    /// Returns the phase that has begun last, if any.
    pub(crate) fn last_phase(&self) -> Option<Phase> {
        self.phases.last().map(|p| p.name)
    }
}

/// The open journal of one attempt.
#[derive(Debug)]
pub(crate) struct Journal {
    file: Arc<File>,
    dir: PathBuf,
    pub(crate) state: State,
}

impl Journal {
    /// Begins the journal of a lease for which nothing is set aside.
    #[cfg(test)]
    pub(crate) fn create(dir: &Path, agent: &str, lease: Lease, at: Time) -> io::Result<Self> {
        Self::create_reserving(dir, agent, lease, Reserved::default(), at)
    }

    /// Begins the journal of a lease in the new folder `dir`. A folder that is there belongs to an earlier offer of
    /// the same attempt, which was never acknowledged; it is replaced.
    pub(crate) fn create_reserving(
        dir: &Path,
        agent: &str,
        lease: Lease,
        reserved: Reserved,
        at: Time,
    ) -> io::Result<Self> {
        crate::state_dir::remove_dir(dir)?;
        make_dir(&dir.join("logs"))?;
        let entry = Entry::Leased {
            agent: agent.to_owned(),
            lease: Box::new(lease.clone()),
            at,
            reserved: reserved.clone(),
            version: VERSION,
        };
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(dir.join(FILE))?;
        write(&file, &entry)?;
        reserve(&file)?;
        File::open(dir)?.sync_all()?;
        if let Some(parent) = dir.parent() {
            File::open(parent)?.sync_all()?;
        }
        let state = State::new(agent.to_owned(), lease, at, reserved);
        Ok(Self { file: Arc::new(file), dir: dir.to_owned(), state })
    }

    /// Reads the journal in `dir`; none when its lease was never written whole, so that nothing was ever done for it.
    ///
    /// # Errors
    /// When it cannot be read, or a newer agent wrote it in a way that this one does not know.
    pub(crate) fn read(dir: &Path) -> io::Result<Option<Self>> {
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut whole = 0;
        let mut state: Option<State> = None;
        for line in text.split_inclusive(|b| *b == b'\n') {
            if line.last() != Some(&b'\n') {
                break;
            }
            let entry = match serde_json::from_slice::<Entry>(line) {
                Ok(entry) => entry,
                // A newer agent of the same version knows more, and an older one goes on after it.
                Err(_) if state.is_some() && is_entry(line) => {
                    whole += line.len();
                    continue;
                }
                Err(_) => break,
            };
            if let Entry::Leased { version, .. } = &entry
                && *version > VERSION
            {
                let why = format!("a newer lanza wrote it (version {version}); start that one on this state directory");
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
            whole += line.len();
            match (&mut state, entry) {
                (Some(state), entry) => state.apply(entry),
                (None, Entry::Leased { agent, lease, at, reserved, .. }) => {
                    state = Some(State::new(agent, *lease, at, reserved));
                }
                (None, _) => break,
            }
        }
        let Some(state) = state else { return Ok(None) };
        let file = OpenOptions::new().append(true).open(&path)?;
        if whole < text.len() {
            // So that the next entry does not join on to half a line.
            file.set_len(whole as u64)?;
        }
        Ok(Some(Self { file: Arc::new(file), dir: dir.to_owned(), state }))
    }

    /// Writes an entry; returns when it is where it must be before the agent goes on.
    pub(crate) async fn append(&mut self, entry: Entry) -> io::Result<()> {
        if entry.decides() {
            let file = self.file.clone();
            let copy = entry.clone();
            tokio::task::spawn_blocking(move || write(&file, &copy)).await.map_err(io::Error::other)??;
        } else {
            write(&self.file, &entry)?;
        }
        self.state.apply(entry);
        Ok(())
    }

    /// The attempt's folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Whether a line is whole and names a kind of entry.
fn is_entry(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line)
        .is_ok_and(|o| o.get("entry").is_some_and(serde_json::Value::is_string))
}

fn write(file: &File, entry: &Entry) -> io::Result<()> {
    let mut line = serde_json::to_vec(entry).map_err(io::Error::other)?;
    line.push(b'\n');
    let length = file.metadata()?.len();
    let mut out = file;
    out.write_all(&line).inspect_err(|_| {
        // So that the next entry does not join on to half a line.
        let _ = file.set_len(length);
    })?;
    if entry.decides() { file.sync_data() } else { Ok(()) }
}

/// Sets space aside behind the end of the file. File systems that cannot are left alone; a full one is an error.
fn reserve(file: &File) -> io::Result<()> {
    let length = file.metadata()?.len();
    match fallocate(file, FallocateFlags::KEEP_SIZE, length, RESERVED) {
        Err(e @ (Errno::NOSPC | Errno::DQUOT)) => Err(e.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use lanza_model::{Target, item::Ending};
    use serde_json::Map;

    use super::*;

    pub(crate) fn lease(item: &str) -> Lease {
        Lease {
            item: item.into(),
            attempt: 1,
            entity: "acme".into(),
            queue: "default".into(),
            target: Target::Process,
            author: "ann".into(),
            run_entity: "acme".into(),
            run_project: "digits".into(),
            run_id: "ab12cd34".into(),
            run_name: None,
            resume: false,
            sweep_id: None,
            job: Some("acme/digits/train:v0".into()),
            job_artifact: Some("0".repeat(32)),
            image: None,
            token: "t".repeat(40),
            overrides: Map::new(),
            queue_config: Map::new(),
            item_config: Map::new(),
            spec: Map::new(),
            resources: Map::new(),
            submitter_fields: None,
            rebuild_asked_ms: None,
            stop: false,
        }
    }

    #[tokio::test]
    async fn a_journal_cut_at_any_byte_is_an_earlier_state() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("attempts").join("i-1");
        let mut journal = Journal::create(&dir, "agent", lease("i"), Time(1)).unwrap();
        let phase = PhaseReport { name: Phase::Fetch, started_at: Time(2), ended_at: None };
        journal.append(Entry::Acknowledged).await.unwrap();
        journal.append(Entry::Phase { phase }).await.unwrap();
        journal.append(Entry::Starting { boot: "b".into() }).await.unwrap();
        let outcome = Outcome {
            ending: Ending::Finished,
            exit_code: Some(0),
            signal: None,
            reason: None,
            phase: Some(Phase::Run),
            ended_at: Time(9),
        };
        journal.append(Entry::Ended { outcome: Box::new(outcome) }).await.unwrap();
        journal.append(Entry::Reported).await.unwrap();
        let whole = fs::read(dir.join(FILE)).unwrap();
        let mut ranks = Vec::new();
        for length in 0..=whole.len() {
            fs::write(dir.join(FILE), &whole[..length]).unwrap();
            ranks.push(Journal::read(&dir).unwrap().map_or(0, |j| {
                let s = &j.state;
                1 + u8::from(s.acknowledged)
                    + s.phases.len() as u8
                    + u8::from(s.starting.is_some())
                    + u8::from(s.outcome.is_some())
                    + u8::from(s.closed)
            }));
        }
        assert!(ranks.windows(2).all(|w| w[0] <= w[1]), "{ranks:?}");
        assert_eq!((ranks.first(), ranks.last()), (Some(&0), Some(&6)));

        // A cut line is cut off, so that the next entry stands on its own line.
        fs::write(dir.join(FILE), &whole[..whole.len() - 3]).unwrap();
        let mut journal = Journal::read(&dir).unwrap().unwrap();
        assert!(!journal.state.closed);
        journal.append(Entry::Reported).await.unwrap();
        assert!(Journal::read(&dir).unwrap().unwrap().state.closed);
    }

    /// A journal as the agent of version 0.1.0 wrote it, kept as it is: every later agent has to take it over.
    pub(crate) const OF_0_1_0: &str = include_str!("journal/0.1.0.jsonl");

    #[tokio::test]
    async fn the_journal_of_an_older_agent_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, OF_0_1_0).unwrap();
        let mut journal = Journal::read(folder.path()).unwrap().expect("a lease");
        let state = &journal.state;
        assert_eq!((state.agent.as_str(), state.lease.attempt), ("0198a1b2c3d4e5f60718293a4b5c6d7e", 2));
        assert_eq!((state.lease.target, state.lease.run_id.as_str()), (Target::Docker, "ab12cd34"));
        assert_eq!(state.lease.queue_config["memory"], "2g");
        assert_eq!(
            state.phases.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(),
            ["fetch", "build", "start", "run"]
        );
        assert_eq!(state.starting.as_deref(), Some("4f9a6f0e-2f0b-4c3b-9a53-0d5c5a3f7b11"));
        assert_eq!(state.stop, Some(Duration::from_secs(5)));
        assert_eq!(state.environment.as_ref().map(|e| e.packages.len()), Some(2));
        assert_eq!(state.source.as_ref().map(|s| s.kind.as_str()), Some("code"));
        assert_eq!((state.warnings.len(), &state.reserved), (1, &Reserved::default()));
        assert!(state.acknowledged && !state.closed);
        assert_eq!(state.outcome.as_ref().map(|o| (o.ending, o.signal)), Some((Ending::Stopped, Some(15))));
        journal.append(Entry::Reported).await.unwrap();
        assert!(Journal::read(folder.path()).unwrap().unwrap().state.closed);
    }

    #[test]
    fn entries_of_a_newer_agent_are_passed_over_and_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let mut lines: Vec<&str> = OF_0_1_0.lines().collect();
        lines.insert(2, r#"{"entry":"mood","of":{"the":"agent"}}"#);
        let text = lines.join("\n") + "\n";
        fs::write(&path, &text).unwrap();
        assert!(Journal::read(folder.path()).unwrap().unwrap().state.outcome.is_some());
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "nothing is cut off");

        let newer = OF_0_1_0.replacen("\"entry\":\"leased\"", "\"entry\":\"leased\",\"version\":2", 1);
        fs::write(&path, &newer).unwrap();
        let refused = Journal::read(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("newer lanza"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), newer, "nothing is cut off");
    }
}
