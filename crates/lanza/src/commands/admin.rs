//! `lanza admin …`: users and teams.

use std::io::{BufRead as _, IsTerminal as _};

use lanza_api::{
    Client,
    client::segment,
    entity::{Member, NewName, NewRole, NewUser, Team, User, UserWithKey},
};
use lanza_model::Role;

use super::{deleted, print_list};
use crate::{
    args::{AdminCommand, Print, TeamCommand, UserCommand},
    config::Config,
    environment::LANZA_ADMIN_TOKEN,
    exit::{self, Failure, Outcome},
    output::{self, table::table},
};

pub(crate) async fn run(command: AdminCommand, config: Config) -> Outcome {
    let client = client(&config)?;
    match command {
        AdminCommand::Users(command) => users(command, &client).await,
        AdminCommand::Teams(command) => teams(command, &client).await,
    }
}

/// A client with the admin's token, else with the caller's key.
fn client(config: &Config) -> Result<Client, Failure> {
    match config.environment.get(LANZA_ADMIN_TOKEN) {
        Some(token) => Ok(Client::new(&config.base_url(), Some(token.to_owned()))?),
        None => config.client(),
    }
}

async fn users(command: UserCommand, client: &Client) -> Outcome {
    match command {
        UserCommand::List { print } => {
            print_list(client, "/admin/users", usize::MAX, &print, "there is no user", |users: &[User]| {
                let rows = users
                    .iter()
                    .map(|u| {
                        let kind = match (u.admin, u.service) {
                            (true, _) => "admin",
                            (_, true) => "service account",
                            _ => "user",
                        };
                        vec![u.username.clone(), kind.to_owned(), u.created_at.to_string()]
                    })
                    .collect();
                table(&["user", "kind", "made"], rows)
            })
            .await
        }
        UserCommand::Create { name, admin, password, print } => {
            let password = if password { Some(read_password()?) } else { None };
            let body = NewUser { username: name, api_key: None, password, admin };
            key(&client.post("/admin/users", &body).await?, &print)
        }
        UserCommand::Delete { name } => {
            client.delete(&format!("/admin/users/{}", segment(&name))).await?;
            Ok(deleted(&format!("user `{name}`")))
        }
    }
}

async fn teams(command: TeamCommand, client: &Client) -> Outcome {
    match command {
        TeamCommand::Create { name, print } => {
            let team: Team = client.post("/admin/teams", &NewName { name }).await?;
            if print.json {
                output::json(&team)?;
            } else {
                output::say(&format!("team `{}`: made", team.name));
            }
            Ok(exit::DONE)
        }
        TeamCommand::Member { team, user, role, print } => {
            let role = Role::parse(&role).ok_or_else(|| Failure::usage(format!("`{role}` is not a role")))?;
            let path = format!("/admin/teams/{}/members/{}", segment(&team), segment(&user));
            let member: Member = client.put(&path, &NewRole { role }).await?;
            if print.json {
                output::json(&member)?;
            } else {
                output::say(&format!("`{}` is {} of `{team}`", member.username, member.role));
            }
            Ok(exit::DONE)
        }
        TeamCommand::ServiceAccount { team, name, print } => {
            let path = format!("/admin/teams/{}/service-accounts", segment(&team));
            key(&client.post(&path, &NewName { name }).await?, &print)
        }
    }
}

/// Prints the key on stdout: it is the data, and is shown this once.
fn key(made: &UserWithKey, print: &Print) -> Outcome {
    if print.json {
        output::json(made)?;
    } else {
        output::say(&format!("`{}`: made; the key is shown this once", made.username));
        output::line(&made.api_key)?;
    }
    Ok(exit::DONE)
}

fn read_password() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        output::say("Type a password of 8 characters or more and press Enter:");
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line).map_err(|e| Failure::failed(format!("cannot read the password: {e}")))?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
