//! Figures of a queue on both engines.

use lanza_model::{Reason, clock::Time, code, id::ItemId, item::Ending};

use super::{
    AttemptsAfter, Fate, Measure, Peak, Took, UsedBy, UsedIn, items_of,
    tests::{NOW, Place, ended},
};

impl Place {
    /// Pushes an item `age_ms` ago, and lets an agent take it now.
    async fn aged(&self, age_ms: i64) -> ItemId {
        let mut item = self.new_item();
        item.created_at = NOW.plus_ms(-age_ms);
        let id = item.id.clone();
        self.store.item_insert(item).await.expect("pushed");
        id
    }

    async fn ran(&self, age_ms: i64, ending: Ending, ran_ms: i64) -> ItemId {
        let id = self.aged(age_ms).await;
        let taken = self.claim(0, 1).await;
        assert_eq!(taken[0].id, id);
        self.store.item_acknowledge(&id, 1, &self.agents[0], NOW).await.expect("acknowledged");
        let reason = (ending == Ending::Failed).then(|| Reason::new(code::AGENT_LOST, "gone"));
        let over = super::Ended { at: NOW.plus_ms(ran_ms), reason, ..ended(ending) };
        self.store.item_end(&id, 1, Some(&self.agents[0]), over, NOW, 0).await.expect("ended");
        id
    }
}

#[tokio::test]
async fn figures_count_what_was_there_in_the_window() {
    for place in Place::all().await {
        let finished = place.ran(5_000, Ending::Finished, 1_000).await;
        let failed = place.ran(25_000, Ending::Failed, 14_000).await;
        let held = place.aged(100).await;
        assert_eq!(place.claim(1, 1).await[0].id, held);
        place.aged(1_000).await;
        let (queue, since, until) = (&place.queue.id, NOW.plus_ms(-10_000), NOW.plus_ms(20_000));

        let mut fates = place.store.queue_fates(queue, since, until, 10_000).await.expect("fates");
        fates.sort_by_key(|f| (f.pushed, f.ended, f.leased));
        let fate = |pushed, leased, ended, word: &str| Fate {
            pushed,
            leased,
            ended,
            state: lanza_model::item::StateName::parse(word).expect("a state"),
            items: 1,
        };
        let expected = [
            fate(-1, Some(1), Some(2), "failed"),
            fate(0, None, None, "queued"),
            fate(0, Some(1), None, "leased"),
            fate(0, Some(1), Some(1), "finished"),
        ];
        assert_eq!(fates, expected, "on {:?}", place.store.engine());
        let early = place.store.queue_fates(queue, since, NOW.plus_ms(-2_000), 10_000).await.expect("fates");
        assert!(early.iter().all(|f| f.leased.is_none() && f.ended.is_none()), "{early:?}");
        assert_eq!(early.iter().map(|f| f.items).sum::<i64>(), 2);

        let peak = |slice, waiting, running| Peak { slice, waiting, running };
        let peaks = place.store.queue_peaks(queue, since, until, 10_000).await.expect("peaks");
        // All of them were taken at the begin of the second slice; one ended in it, one in the last.
        assert_eq!(peaks, [peak(0, 4, 0), peak(1, 1, 3), peak(2, 1, 1)], "on {:?}", place.store.engine());
        let narrow = place.store.queue_peaks(queue, NOW.plus_ms(-10), until, 500).await.expect("peaks");
        assert_eq!(narrow[..2], [peak(0, 4, 3), peak(2, 1, 2)], "{narrow:?}");

        let took = |ms| Took { ms, items: 1 };
        let waited = place.store.queue_took(queue, Measure::Waiting, since, until).await.expect("waits");
        assert_eq!(waited, [took(100), took(5_000), took(25_000)]);
        let lasted = place.store.queue_took(queue, Measure::Duration, since, until).await.expect("durations");
        assert_eq!(lasted, [took(1_000), took(14_000)]);

        let failures = place.store.queue_failed(queue, since, until, 10).await.expect("failures");
        assert_eq!(failures.len(), 1);
        assert_eq!((&failures[0].item, failures[0].ended_at), (&failed, NOW.plus_ms(14_000)));

        let runs = place.store.queue_job_runs(queue, since, until, 10).await.expect("runs");
        assert_eq!(runs.iter().map(|r| r.ms).collect::<Vec<_>>(), [Some(14_000), Some(1_000)]);

        let used = |since: Time| place.store.attempts_used(UsedIn::Queue(queue), UsedBy::User, since, until);
        let all = used(since).await.expect("use");
        assert_eq!((all[0].key.as_deref(), all[0].items, all[0].ms), (Some("ana"), 3, 1_000 + 14_000 + 20_000));
        let late = used(NOW.plus_ms(2_000)).await.expect("use");
        assert_eq!((late[0].items, late[0].ms), (2, 12_000 + 18_000));

        let first = place.store.queue_attempts(queue, since, until, None, 2).await.expect("attempts");
        assert_eq!(first.iter().map(|a| &a.item).collect::<Vec<_>>(), [&held, &failed]);
        assert!(!first[0].unreachable && !first[1].unreachable);
        assert_eq!((items_of(&first), first[0].agent.as_deref(), first[0].newest), (2, Some("two"), true));
        let after = AttemptsAfter { ended_at: first[1].item_ended_at, item: failed.clone() };
        let second = place.store.queue_attempts(queue, since, until, Some(&after), 2).await.expect("attempts");
        assert_eq!(
            second.iter().map(|a| (&a.item, a.ended_at)).collect::<Vec<_>>(),
            [(&finished, Some(NOW.plus_ms(1_000)))]
        );
        let after = AttemptsAfter { ended_at: None, item: held.clone() };
        let rest = place.store.queue_attempts(queue, since, until, Some(&after), 1).await.expect("attempts");
        assert_eq!(rest[0].item, failed);
    }
}
