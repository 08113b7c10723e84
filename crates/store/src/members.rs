//! Teams as a whole: which there are, and who leaves one.

use lanza_model::{
    clock::Time,
    id::{EntityId, UserId},
};

use crate::{
    Result, Store, Tx,
    accounts::{Entity, entity},
    row::Columns,
};

/// What became of the wish to take a member out of a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The user is no member any more.
    Done,
    /// The user is none.
    NoMember,
    /// The team would have no admin left; nothing changed.
    LastAdmin,
}

impl Store {
    /// Takes a member out of a team, unless the team would be left without an admin. What the member has waiting in the
    /// team's queues is stopped for `reason`: nobody may run it any more.
    pub async fn member_remove(
        &self,
        team: &EntityId,
        user: &UserId,
        reason: &lanza_model::Reason,
        now: Time,
    ) -> Result<Removal> {
        let (team, user) = (team.clone(), user.clone());
        let reason = serde_json::to_string(reason).expect("a reason serializes");
        self.write(move |tx| {
            let (team, user, reason) = (team.clone(), user.clone(), reason.clone());
            Box::pin(async move {
                // One statement looks and deletes, so that two admins who remove each other leave one.
                let done = sqlx::query(
                    "DELETE FROM members WHERE entity_id = $1 AND user_id = $2 AND (role <> 'admin' OR \
                     EXISTS (SELECT 1 FROM members o WHERE o.entity_id = $1 AND o.user_id <> $2 AND o.role = 'admin'))",
                )
                .bind(team.as_str())
                .bind(user.as_str())
                .execute(tx.connection())
                .await?;
                if done.rows_affected() == 0 {
                    let found = sqlx::query("SELECT role FROM members WHERE entity_id = $1 AND user_id = $2")
                        .bind(team.as_str())
                        .bind(user.as_str())
                        .fetch_optional(tx.connection())
                        .await?;
                    return Ok(if found.is_some() { Removal::LastAdmin } else { Removal::NoMember });
                }
                stop_waiting_in_tx(tx, &user, Some(&team), &reason, now).await?;
                Ok(Removal::Done)
            })
        })
        .await
    }

    /// Lists teams by name after `after`, each with the number of its members.
    pub async fn team_list(&self, after: &str, limit: i64) -> Result<Vec<(Entity, i64)>> {
        let rows = sqlx::query(
            "SELECT e.id, e.name, e.kind, (SELECT COUNT(*) FROM members m WHERE m.entity_id = e.id) AS members \
             FROM entities e WHERE e.kind = 'team' AND e.name_key > $1 ORDER BY e.name_key LIMIT $2",
        )
        .bind(after.to_lowercase())
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(|r| Ok((entity(r)?, r.int("members")?))).collect()
    }
}

/// Stops what an author has waiting, of one team or everywhere. `reason` is JSON.
pub(crate) async fn stop_waiting_in_tx(
    tx: &mut Tx,
    author: &UserId,
    team: Option<&EntityId>,
    reason: &str,
    now: Time,
) -> Result<()> {
    let rows = sqlx::query(
        "UPDATE items SET state = 'stopped', ended_at = $2, reason = $3 WHERE author_id = $1 AND state = 'queued' \
         AND entity_id = COALESCE($4, entity_id) RETURNING *",
    )
    .bind(author.as_str())
    .bind(now.0)
    .bind(reason)
    .bind(team.map(|team| team.as_str().to_owned()))
    .fetch_all(tx.connection())
    .await?;
    for row in &rows {
        crate::items::end_in_tx(tx, crate::items::item(row)?, now, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lanza_model::{Reason, Role, code};

    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn two_admins_who_demote_or_remove_each_other_leave_one() {
        let reason = Reason::new(code::STOPPED, "removed");
        for (_guard, store) in testing::stores().await {
            let team = store.team_insert("Vision", Time(1)).await.expect("a team");
            store.team_insert("audio", Time(1)).await.expect("a team");
            let mut users = Vec::new();
            for (name, role) in [("ana", Role::Admin), ("ben", Role::Admin), ("vera", Role::Viewer)] {
                let (user, key) = testing::user(name, Time(1));
                let id = user.id.clone();
                store.user_insert(user, None, key).await.expect("a user");
                store.member_put(&team, &id, role).await.expect("a member");
                users.push(id);
            }
            let names = |list: Vec<(Entity, i64)>| list.into_iter().map(|(e, n)| (e.name, n)).collect::<Vec<_>>();
            let all = names(store.team_list("", 10).await.expect("teams"));
            assert_eq!(all, [("audio".to_owned(), 0), ("Vision".to_owned(), 3)], "no personal space is one");
            assert_eq!(names(store.team_list("audio", 10).await.expect("teams")), [("Vision".to_owned(), 3)]);

            let demote = |user: usize| store.member_put(&team, &users[user], Role::Member);
            let (one, other) = tokio::join!(demote(0), demote(1));
            let both = [one.expect("answered"), other.expect("answered")];
            assert_ne!(both[0], both[1], "one of two admins who demote each other stays");
            for (user, demoted) in both.into_iter().enumerate() {
                let role = store.member_role(&team, &users[user]).await.expect("read");
                assert_eq!(role, Some(if demoted { Role::Member } else { Role::Admin }));
                assert!(store.member_put(&team, &users[user], Role::Admin).await.expect("answered"), "an admin again");
            }

            let remove = |user: usize| store.member_remove(&team, &users[user], &reason, Time(2));
            let (one, other) = tokio::join!(remove(0), remove(1));
            let mut both = [one.expect("answered"), other.expect("answered")];
            both.sort_by_key(|removal| *removal != Removal::Done);
            assert_eq!(both, [Removal::Done, Removal::LastAdmin]);
            assert_eq!(remove(2).await.expect("answered"), Removal::Done);
            assert_eq!(store.member_role(&team, &users[2]).await.expect("read"), None);
            assert_eq!(remove(2).await.expect("answered"), Removal::NoMember);
            assert_eq!(store.member_list(&team).await.expect("members").len(), 1);
        }
    }
}
