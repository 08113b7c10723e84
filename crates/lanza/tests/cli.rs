//! The command line against a whole server: what it prints, where, and how it ends.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use lanza_testkit::{TestServer, redact};

/// One person at a terminal: a server, a key, a home folder of their own.
struct Person {
    server: TestServer,
    key: String,
    runtime: tokio::runtime::Runtime,
}

/// How a command ended.
#[derive(Debug)]
struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Person {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (server, key) = runtime.block_on(async {
            let server = TestServer::start().await.expect("a server");
            let key = server.user_key("ada", false).await.expect("a user");
            (server, key)
        });
        Self { server, key, runtime }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanza"));
        command.args(words).env_clear().env("HOME", self.server.folder());
        command.env("WANDB_BASE_URL", &self.server.url).env("WANDB_API_KEY", &self.key);
        command
    }

    fn run(&self, words: &[&str]) -> Done {
        done(self.command(words), "")
    }

    fn good(&self, words: &[&str]) -> Done {
        let done = self.run(words);
        assert_eq!(done.code, 0, "{words:?}: {done:?}");
        done
    }

    fn stop(self) {
        self.runtime.block_on(self.server.stop()).expect("the server stops");
    }
}

fn done(mut command: Command, input: &str) -> Done {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    Done {
        code: output.status.code().expect("no signal"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

fn alone(words: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanza"));
    command.args(words).env_clear().env("HOME", "/nonexistent");
    done(command, "")
}

#[test]
fn an_item_is_launched_looked_at_and_stopped() {
    let ada = Person::new();
    let made = ada.good(&["queue", "create", "gpu", "--target", "docker", "--priority", "on"]);
    assert_eq!((made.stdout.as_str(), made.stderr.as_str()), ("", "queue `gpu` of `ada`: made\n"));

    let launched = ada.good(&["launch", "-q", "gpu", "-d", "tool:1", "-p", "p", "--set", "lr=0.1", "-P", "high"]);
    let id = launched.stdout.trim_end().to_owned();
    insta::assert_snapshot!(redact(&launched.stdout), @"[id]");
    insta::assert_snapshot!(redact(&launched.stderr), @"lanza: warning: no agent polls the queue `gpu`; start one with `lanza agent -q gpu`");

    let shown = ada.good(&["item", "show", &id]).stdout;
    for words in ["state      queued\n", "queue      ada/gpu (docker)\n", "\"lr\":0.1", "priority   high\n", "no agent"]
    {
        assert!(shown.contains(words), "{words} is missing in\n{shown}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&ada.good(&["item", "show", &id, "--json"]).stdout).expect("JSON");
    assert_eq!(json["item"]["id"], id.as_str());
    let list: serde_json::Value = serde_json::from_str(&ada.good(&["item", "list", "--json"]).stdout).expect("JSON");
    assert_eq!((list["items"].as_array().map(Vec::len), &list["next"]), (Some(1), &serde_json::Value::Null));
    assert_eq!(ada.good(&["item", "list", "--state", "failed"]).stdout, "");

    ada.good(&["item", "stop", &id]);
    let waited = ada.run(&["item", "wait", &id]);
    assert_eq!((waited.code, waited.stdout.as_str()), (5, "stopped\n"), "{waited:?}");
    assert_eq!(ada.good(&["item", "logs", &id]).stdout, "");
    let events = ada.good(&["events"]).stdout;
    assert!(events.contains("queued") && events.contains("stopped"), "{events}");
    ada.stop();
}

#[test]
fn a_plan_changes_nothing() {
    let ada = Person::new();
    ada.good(&["queue", "create", "q", "--target", "docker"]);
    let plan = ada.good(&["launch", "-q", "q", "-d", "tool:1", "-p", "p", "-R", "{\"gpus\": \"all\"}", "--plan"]);
    assert!(plan.stdout.contains("effective") && plan.stdout.contains("{\"gpus\":\"all\"}"), "{plan:?}");
    assert_eq!(ada.good(&["item", "list"]).stdout, "");
    ada.stop();
}

#[test]
fn a_queue_is_made_changed_and_deleted() {
    let ada = Person::new();
    let mut command = ada.command(&["queue", "create", "q", "--target", "local-container", "--config", "-"]);
    command.stderr(Stdio::piped());
    let made = done(command, "gpus: all\nenv: [HOME]\n");
    assert_eq!(made.code, 0, "{made:?}");
    let json: serde_json::Value =
        serde_json::from_str(&ada.good(&["queue", "show", "q", "--json"]).stdout).expect("JSON");
    assert_eq!(json["queue"]["target"], "docker");
    assert_eq!(json["queue"]["config"]["gpus"], "all");
    ada.good(&["queue", "pause", "q"]);
    insta::assert_snapshot!(ada.good(&["queue", "list"]).stdout, @r"
    QUEUE  TARGET  STATE   AGENTS  ITEMS
    q      docker  paused  0       none
    ");
    ada.good(&["queue", "resume", "q"]);
    assert_eq!(ada.run(&["queue", "create", "q", "--target", "docker"]).code, 3, "the name is taken");
    assert_eq!(ada.run(&["queue", "create", "r"]).code, 2, "no target");
    ada.good(&["queue", "delete", "q"]);
    assert_eq!(ada.run(&["queue", "show", "q"]).code, 3);
    ada.stop();
}

#[test]
fn refusals_say_what_to_do() {
    let ada = Person::new();
    let missing = ada.run(&["launch", "-q", "nowhere", "-d", "tool:1"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (3, ""));
    insta::assert_snapshot!(missing.stderr, @r"
    lanza: error: queue `nowhere` does not exist
      Create it with `lanza queue create`, or name one that exists.
      For more, run `lanza explain LZ0012`.
    ");
    let mut stranger = ada.command(&["whoami"]);
    stranger.env("WANDB_API_KEY", "x".repeat(40));
    let stranger = done(stranger, "");
    assert_eq!(stranger.code, 3);
    assert!(stranger.stderr.contains("lanza login"), "{stranger:?}");
    let mut keyless = ada.command(&["whoami"]);
    keyless.env_remove("WANDB_API_KEY");
    assert_eq!(done(keyless, "").code, 3);
    let mut nowhere = ada.command(&["whoami"]);
    nowhere.env("WANDB_BASE_URL", "http://127.0.0.1:1");
    assert_eq!(done(nowhere, "").code, 4);
    ada.stop();
}

#[test]
fn a_login_is_kept_in_netrc() {
    let ada = Person::new();
    let mut login = ada.command(&["login"]);
    login.env_remove("WANDB_API_KEY");
    let logged_in = done(login, &format!("{}\n", ada.key));
    assert_eq!(logged_in.code, 0, "{logged_in:?}");
    assert!(logged_in.stderr.contains("as `ada`"), "{logged_in:?}");
    let mut whoami = ada.command(&["whoami"]);
    whoami.env_remove("WANDB_API_KEY");
    insta::assert_snapshot!(redact(&done(whoami, "").stdout), @r"
    user    ada
    server  http://127.0.0.1:[port]
    entity  ada

    ENTITY  KIND  ROLE
    ada     user  admin
    ");
    let mut wrong = ada.command(&["login", "short"]);
    wrong.env_remove("WANDB_API_KEY");
    assert_eq!(done(wrong, "").code, 3);
    ada.stop();
}

#[test]
fn admins_make_users_and_teams() {
    let ada = Person::new();
    let admin = |words: &[&str]| {
        let mut command = ada.command(words);
        command.env("LANZA_ADMIN_TOKEN", TestServer::ADMIN_TOKEN);
        done(command, "")
    };
    let made = admin(&["admin", "users", "create", "bob"]);
    insta::assert_snapshot!(redact(&made.stdout), @"[key]");
    assert_eq!(admin(&["admin", "users", "create", "bob"]).code, 3);
    assert_eq!(admin(&["admin", "teams", "create", "acme"]).code, 0);
    assert_eq!(
        admin(&["admin", "teams", "member", "acme", "bob", "--role", "viewer"]).stderr,
        "`bob` is viewer of `acme`\n"
    );
    let users = admin(&["admin", "users", "list"]).stdout;
    assert!(users.contains("ada") && users.contains("bob"), "{users}");
    assert_eq!(admin(&["admin", "users", "delete", "bob"]).code, 0);
    assert_eq!(ada.run(&["admin", "users", "list"]).code, 3, "ada is no admin");
    ada.stop();
}

#[test]
fn queues_are_kept_in_a_file() {
    let ada = Person::new();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("queues.yaml");
    let path = file.to_str().expect("text");
    std::fs::write(&file, "- name: gpu\n  target: docker\n  config: { memory: 8g }\n  policy: { max_running: 2 }\n")
        .expect("written");
    let apply = ["queue", "apply", "-f", path];
    let with = |flag| [&apply[..], &[flag]].concat();
    assert_eq!(ada.good(&with("--plan")).stderr, "1 made, 0 changed, 0 deleted: that would be done\n");
    assert_eq!(ada.run(&with("--check")).code, 1, "there is something to do");
    assert!(ada.good(&apply).stdout.starts_with("+ queue `gpu`: new\n"));
    let again = ada.good(&with("--check"));
    assert_eq!(
        (again.stdout.as_str(), again.stderr.as_str()),
        ("  queue `gpu`: as it is\n", "every queue is as the file says\n")
    );
    let exported = ada.good(&["queue", "export"]).stdout;
    insta::assert_snapshot!(exported, @r"
    - name: gpu
      target: docker
      config:
        memory: 8g
      priority: true
      policy:
        max_running: 2
    ");
    std::fs::write(&file, exported.replace("8g", "16g")).expect("written");
    assert_eq!(ada.good(&apply).stdout, "~ queue `gpu`: changed\n    ~ config.memory: \"8g\" -> \"16g\"\n");
    std::fs::write(&file, "- name: gpu\n  polcy: {}\n").expect("written");
    let wrong = ada.run(&apply);
    assert_eq!(wrong.code, 3);
    assert!(wrong.stderr.contains("queues[0].polcy: is not a key of a queue; did you mean `policy`?"), "{wrong:?}");
    assert_eq!(ada.run(&["queue", "export", "nope"]).code, 3);

    let launch = ["launch", "-q", "gpu", "-d", "tool:1", "-p", "p", "-R", "{\"memory\": \"32g\"}", "--plan"];
    insta::assert_snapshot!(ada.good(&launch).stdout, @r#"
    queue      gpu (docker)
    project    p
    resources  {"memory":"32g"}
    effective  {"memory":"32g"}

      CONFIG  EFFECTIVE  SET BY  QUEUE HAS
    ~ memory  "32g"      launch  "16g"
    "#);
    assert_eq!(ada.good(&["usage"]).stderr, "nothing of `ada` ran in that time\n");
    ada.stop();
}

#[test]
fn every_command_has_help_and_the_top_page_is_this() {
    let help = alone(&["--help"]);
    assert_eq!(help.code, 0);
    insta::assert_snapshot!(help.stdout);
    for words in [
        "server",
        "dev",
        "agent",
        "login",
        "whoami",
        "launch",
        "queue",
        "item",
        "run",
        "job",
        "list",
        "admin",
        "usage",
        "events",
        "explain",
        "doctor",
        "completion",
        "version",
    ] {
        assert!(help.stdout.contains(&format!("\n  {words} ")), "{words} is missing");
        assert_eq!(alone(&[words, "--help"]).code, 0, "{words}");
    }
    for words in [&["launch", "--help"][..], &["agent", "--help"], &["server", "--help"]] {
        insta::assert_snapshot!(words[0], alone(words).stdout);
    }
}

#[test]
fn words_that_make_no_sense_are_exit_2() {
    for words in [&["frobnicate"][..], &[], &["launch"], &["launch", "-q", "q"], &["agent", "list", "-q", "x"]] {
        assert_eq!(alone(words).code, 2, "{words:?}");
    }
}

#[test]
fn codes_are_explained_by_word_and_by_number() {
    let by_word = alone(&["explain", "agent_lost"]);
    assert_eq!(by_word.code, 0);
    assert_eq!(by_word.stdout, alone(&["explain", "lz0142"]).stdout);
    assert!(alone(&["explain"]).stdout.contains("LZ0142"));
    let wrong = alone(&["explain", "agent_lots"]);
    assert_eq!(wrong.code, 3);
    assert!(wrong.stderr.contains("Did you mean `agent_lost`?"), "{wrong:?}");
}

#[test]
fn completions_are_made() {
    assert!(alone(&["completion", "bash"]).stdout.contains("_lanza()"));
}
