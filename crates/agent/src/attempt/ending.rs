//! What the end of a workload means for its item: how it ended, why, and what a person can do.

mod causes;

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use lanza_api::item::Outcome;
use lanza_model::{Phase, Reason, clock::Time, code, item::Ending};

use crate::target::Exit;

/// Returns what an exit means. Whether a good one had a run is the server's to say.
pub(super) fn outcome(exit: Exit, phase: Option<Phase>) -> Outcome {
    let (ending, reason) = match (&exit.failure, exit.code, exit.signal) {
        (Some(reason), ..) => (Ending::Failed, Some(reason.clone())),
        _ if exit.out_of_memory => {
            (Ending::Failed, Some(Reason::new(code::OUT_OF_MEMORY, "the job was killed because it ran out of memory")))
        }
        (None, Some(0), _) => (Ending::Finished, None),
        (None, Some(n), _) => (Ending::Failed, Some(Reason::new(code::EXIT_CODE, exited_with(n)))),
        (None, None, Some(n)) => (Ending::Failed, Some(Reason::new(code::SIGNAL, killed_by(n)))),
        (None, None, None) => (Ending::Failed, Some(Reason::new(code::AGENT_FAILED, "nobody knows how the job ended"))),
    };
    Outcome { ending, exit_code: exit.code, signal: exit.signal, reason, phase, ended_at: exit.at }
}

/// How much of a log's end is looked through, bytes.
const TAIL_BYTES: u64 = 64 * 1024;

/// Puts into the reason of a job that failed by itself what the end of its log says about the cause.
pub(super) fn explain(mut outcome: Outcome, log: &Path) -> Outcome {
    let own = outcome.reason.as_ref().is_some_and(|r| r.code == code::EXIT_CODE.word || r.code == code::SIGNAL.word);
    if own && let Some(reason) = causes::find(&tail(log), outcome.exit_code, outcome.signal) {
        outcome.reason = Some(reason);
    }
    outcome
}

fn tail(log: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(log) {
        let length = file.metadata().map_or(0, |m| m.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)));
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Says with which code a job exited, and what shells mean by some.
fn exited_with(code: i32) -> String {
    let meaning = match code {
        126 => ": as a rule a program is there and may not be run; `chmod +x` it, or name its interpreter".to_owned(),
        127 => ": as a rule a program that it called is not installed".to_owned(),
        // What a shell that waited for the program says of its end.
        132 | 134..=137 | 139 | 143 => {
            format!(": as a rule a program that it ran was killed by signal {}{}", code - 128, meaning_of(code - 128))
        }
        _ => String::new(),
    };
    format!("the job exited with code {code}{meaning}")
}

/// Says by which signal a job ended.
fn killed_by(signal: i32) -> String {
    format!("the job was killed by signal {signal}{}", meaning_of(signal))
}

/// What the end by a signal mostly means.
fn meaning_of(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL): it was built for another processor",
        6 => " (SIGABRT): it gave up by itself; the log may say why",
        7 => " (SIGBUS): it ran out of shared memory or of disk, or a file that it had mapped was cut",
        8 => " (SIGFPE): it divided by zero",
        9 => " (SIGKILL), which this agent did not send: mostly the machine had run out of memory",
        11 => " (SIGSEGV): a library that is not Python crashed",
        15 => " (SIGTERM), which this agent did not send: somebody asked it to end",
        _ => "",
    }
}

/// Returns the reason of a job that was ended when its target was, which began to be away at `since`.
pub(super) fn ended_with_target(outcome: &Outcome, since: Time) -> Option<Reason> {
    let signal = outcome.signal.filter(|s| [9, 15].contains(s))?;
    // The engine ends its containers before it falls silent.
    (outcome.ended_at >= since.plus_ms(-30_000)).then(|| {
        let text = format!("the container engine was stopped or restarted, and the job with it (signal {signal})");
        Reason::new(code::TARGET_UNAVAILABLE, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_was_ended_with_its_engine_says_so() {
        let of = |signal, code| {
            let exit = Exit { code, signal, out_of_memory: false, failure: None, since: None, at: Time(100_000) };
            outcome(exit, Some(Phase::Run))
        };
        let word = |o: &Outcome, since| ended_with_target(o, Time(since)).map(|r| r.code);
        assert_eq!(word(&of(Some(15), None), 101_000).as_deref(), Some("target_unavailable"));
        assert_eq!(word(&of(Some(9), None), 50_000).as_deref(), Some("target_unavailable"));
        assert_eq!(word(&of(Some(15), None), 200_000), None, "long before");
        assert_eq!(word(&of(Some(11), None), 101_000), None, "its own fault");
        assert_eq!(word(&of(None, Some(7)), 101_000), None, "its own end");
    }

    #[test]
    fn codes_that_shells_give_are_explained() {
        for (code, part) in
            [(137, "signal 9 (SIGKILL)"), (139, "signal 11 (SIGSEGV)"), (126, "chmod"), (127, "installed")]
        {
            assert!(exited_with(code).contains(part), "{}", exited_with(code));
        }
        assert_eq!(exited_with(3), "the job exited with code 3");
    }

    #[test]
    fn every_exit_has_its_meaning() {
        let exit = |code, signal, out_of_memory, failure| Exit {
            code,
            signal,
            out_of_memory,
            failure,
            since: None,
            at: Time(1),
        };
        let reason = || Reason::new(code::SUPERVISOR_LOST, "x");
        for (given, ending, word) in [
            (exit(Some(0), None, false, None), Ending::Finished, None),
            (exit(Some(3), None, false, None), Ending::Failed, Some("exit_code")),
            (exit(None, Some(11), false, None), Ending::Failed, Some("signal")),
            (exit(Some(137), None, true, None), Ending::Failed, Some("out_of_memory")),
            (exit(None, None, false, Some(reason())), Ending::Failed, Some("supervisor_lost")),
        ] {
            let o = outcome(given.clone(), Some(Phase::Run));
            assert_eq!((o.ending, o.reason.as_ref().map(|r| r.code.as_str())), (ending, word), "{given:?}");
            assert_eq!((o.exit_code, o.signal), (given.code, given.signal));
        }
    }
}
