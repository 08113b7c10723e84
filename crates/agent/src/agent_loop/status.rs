//! What the agent says of itself to whoever reads its log.

use lanza_api::entity::EntityAnswer;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::{AgentLoop, Ending, Event};

/// How many items a status line names.
const NAMED: usize = 10;

impl AgentLoop {
    /// Says how it goes after a while.
    pub(super) fn status_later(&mut self) {
        let every = self.ctx.options.status_every;
        self.tasks.spawn(async move {
            sleep(every).await;
            Event::Status
        });
    }

    /// How it goes, in one line.
    pub(super) fn status_line(&self) -> String {
        let state = match (self.ending, self.failures) {
            (Ending::Drained, _) => "taking nothing new",
            (Ending::Stopped, _) => "stopping every workload",
            (Ending::Not, 0) => "polling",
            (Ending::Not, _) => "waiting for the server",
        };
        let most = self.ctx.options.max_jobs.limit().map_or_else(|| "any number of".to_owned(), |n| n.to_string());
        let mut items: Vec<&str> = self.attempts.keys().map(|(item, _)| item.as_str()).collect();
        items.sort_unstable();
        let more = items.len().saturating_sub(NAMED);
        items.truncate(NAMED);
        let mut items = items.join(", ");
        if more > 0 {
            items.push_str(&format!(" and {more} more"));
        }
        let left = self.ctx.machine.left(self.attempts.values().map(|live| &live.reserved));
        format!(
            "{state}: {} of {most} places taken{}{items}; queues {}; free {} CPUs, {} MiB of memory, {} GPUs",
            self.attempts.len(),
            if items.is_empty() { "" } else { " by " },
            self.queues.join(", "),
            left.cpus.unwrap_or_default(),
            left.memory_bytes.unwrap_or_default() >> 20,
            left.gpus.unwrap_or_default(),
        )
    }

    /// Sends its log on from here, under the id that it was given.
    pub(super) fn tell(&mut self) {
        let Some(agent) = self.agent.clone() else { return };
        if let Some(earlier) = self.telling.take() {
            earlier.abort();
        }
        let teller = self.teller.clone();
        let told = self.tasks.spawn(async move {
            teller.run(agent).await;
            Event::Never
        });
        self.telling = Some(told);
    }

    /// Says once whom this machine now works for: in a team that is more people than the one who started the agent.
    pub(super) fn introduce(&mut self) {
        if std::mem::replace(&mut self.introduced, true) {
            return;
        }
        let (client, entity) = (self.ctx.client.clone(), self.entity.clone());
        self.tasks.spawn(async move {
            match client.get::<EntityAnswer>(&format!("/entities/{}", lanza_api::client::segment(&entity))).await {
                Ok(answer) if answer.entity.kind == "team" => warn!(
                    "`{entity}` is a team: whoever may launch on its queues can run code on this machine as the user that \
                     runs this agent. Give it a machine and a user of its own, and the key of a service account"
                ),
                Ok(_) => {}
                Err(e) => debug!("whether `{entity}` is a team is not known: {e}"),
            }
            Event::Never
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use lanza_model::clock::Time;

    use super::super::tests::{Running, lease, options, own};
    use crate::{Control, fake_server::FakeServer};

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Runs an agent on this thread, whose log is heard here alone, until its log has all of `wanted`; returns the log.
    async fn heard(team: bool, item: &str, wanted: &[&str]) -> String {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _heard = tracing::subscriber::set_default(subscriber);
        let server = FakeServer::start().await;
        server.state.lock().team = team;
        let state = tempfile::tempdir().unwrap();
        let mut settings = options(&server, state.path());
        settings.status_every = Duration::from_millis(100);
        settings.queues = vec!["gpu".into()];
        let agent = Running::start(settings);
        server.push(lease(item, "sleep 300"));
        server.until(&format!("{wanted:?} in the log"), |_| wanted.iter().all(|w| log.text().contains(w))).await;
        agent.end(Control::Stop).await;
        log.text()
    }

    #[tokio::test]
    async fn an_agent_says_now_and_then_how_it_goes_and_whom_it_works_for() {
        let (mine, ours) = (own("status-mine"), own("status-ours"));
        let line = |item: &str| format!("polling: 1 of 4 places taken by {item}; queues gpu; free ");
        let warning = "`acme` is a team: whoever may launch on its queues can run code on this machine";
        let log = heard(true, &ours, &[&line(&ours), warning]).await;
        assert_eq!(log.matches(warning).count(), 1, "{log}");
        assert!(log.lines().any(|l| l.contains(" WARN ") && l.contains(warning)), "{log}");
        assert!(log.lines().any(|l| l.contains(" INFO ") && l.contains("polling: 1 of 4")), "{log}");
        let log = heard(false, &mine, &[&line(&mine)]).await;
        assert!(!log.contains("is a team"), "{log}");
    }

    #[tokio::test]
    async fn an_agents_log_reaches_the_server_once_and_without_secrets() {
        let server = FakeServer::start().await;
        server.state.lock().own_logs_refused = 1;
        let state = tempfile::tempdir().unwrap();
        let settings = options(&server, state.path());
        let log = settings.own_log.clone();
        log.push(Time(1), "info", "begins");
        let agent = Running::start(settings);
        log.push(Time(2), "warn", &format!("its key is {}", "k".repeat(40)));
        server.until("both lines", |s| s.own_log.len() == 2).await;
        log.push(Time(3), "info", "leaves");
        agent.end(Control::Leave).await;
        let told: Vec<_> = server
            .state
            .lock()
            .own_log
            .iter()
            .map(|line| (line.number, line.level.clone(), line.text.clone()))
            .collect();
        assert_eq!(told.iter().map(|line| line.0).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(told[1].1 == "warn" && told[1].2.starts_with("its key is ") && !told[1].2.contains("kkk"), "{told:?}");
    }
}
