//! What this process believes of its store, and what each thing that it sees makes of that. Pure: no store, no file, no clock.

use super::memory::Memory;
use crate::Revision;
use minato_control::{Doubt, Meta};

/// Revisions that may go by before the file is written again. A restore that goes back by less is still known by its cluster.
pub(super) const NOTABLE: u64 = 100;
/// While another cluster answers, each so many looks it is looked whether the one of before answers again.
const LOOK_ELSEWHERE: u32 = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Belief {
    pub(super) memory: Option<Memory>,
    /// The revision that stands in the file.
    saved: u64,
    /// Why nothing goes through.
    pub(super) doubt: Option<Doubt>,
    /// A list was let through since this guard began.
    listed: bool,
    /// Id and era of the store that was let through.
    pub(super) passed: Option<(String, u32)>,
    /// It was let through, and is not what it was: nothing goes through this guard any more.
    pub(super) over: bool,
    /// What cannot be, and was seen all the same: it is at an earlier revision than it was.
    went_back: Option<String>,
    /// Looks at a cluster that is not the one of before.
    elsewhere: u32,
}

/// What is to be done with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    Stays,
    Write,
    Remove,
}

impl Belief {
    /// Of a process that begins, with what stands in the file.
    pub(super) fn new(memory: Option<Memory>) -> Self {
        Self {
            saved: memory.as_ref().map_or(0, |it| it.revision),
            memory,
            ..Self::default()
        }
    }

    /// The memory stands in the file as it is now.
    pub(super) fn mark_saved(&mut self) {
        self.saved = self.memory.as_ref().map_or(0, |it| it.revision);
    }

    /// A later revision of the same store.
    pub(super) fn advance(&mut self, revision: Revision) {
        if let Some(memory) = &mut self.memory {
            memory.revision = memory.revision.max(revision.0);
        }
    }

    /// The store says of itself that it is not the one of before. `known`: where it is at an earlier revision, which one it was at.
    pub(super) fn replaced(&mut self, detail: &str, known: Option<Revision>) {
        self.over |= self.listed;
        if let Some(known) = known {
            self.went_back.get_or_insert_with(|| detail.to_owned());
            self.advance(known);
        }
    }

    /// It may not go through until a person says so.
    pub(super) fn doubted(&mut self, doubt: Doubt) {
        self.over |= self.listed;
        self.doubt = Some(doubt);
    }

    /// Why a store that was listed may not be the one of before. `before`: what was known when it was asked.
    pub(super) fn suspicion(
        &self,
        before: &Memory,
        found: Option<&Meta>,
        cluster: Option<&str>,
        revision: Revision,
    ) -> Option<String> {
        let said = before.suspicion(found, cluster, revision);
        // A later era was begun since: whoever began it knew.
        let later = found.is_some_and(|meta| meta.era > before.era);
        said.or_else(|| self.went_back.clone().filter(|_| !later))
    }

    /// The cluster of before, where another one `answers` and it is time to look for that again.
    pub(super) fn look_elsewhere(&mut self, answers: Option<&str>) -> Option<String> {
        let before = self.memory.as_ref().and_then(|it| it.cluster.clone());
        let is_another = answers.is_some() && before.as_deref() != answers && self.doubt.is_some();
        self.elsewhere = if is_another { self.elsewhere + 1 } else { 0 };
        let is_time = self.elsewhere.is_multiple_of(LOOK_ELSEWHERE);
        before.filter(|_| is_another && is_time)
    }

    /// A good store was listed; whether it is not the one that was let through before.
    pub(super) fn is_over_with(&mut self, found: Option<&Meta>) -> bool {
        let found = found.map(|it| (it.store_id.clone(), it.era));
        if let (Some(passed), Some(found)) = (&self.passed, &found) {
            self.over |= passed != found;
        }
        if !self.over {
            self.listed = true;
            self.passed = found.or(self.passed.take());
        }
        self.over
    }

    /// Takes a good store for the one that is in use. `None`: it is empty.
    pub(super) fn remember(
        &mut self,
        found: Option<Meta>,
        cluster: Option<String>,
        revision: Revision,
    ) -> File {
        self.doubt = None;
        self.went_back = None;
        let Some(meta) = found else {
            // Begun anew: what was is no measure for what will be.
            return match self.memory.take() {
                Some(_) => File::Remove,
                None => File::Stays,
            };
        };
        let mut memory = Memory::new(meta, cluster, revision);
        let known = self.memory.as_ref();
        // Others write and list at the same time; the newest word counts.
        if known.is_some_and(|it| it.era > memory.era) {
            return File::Stays;
        }
        let same = known.filter(|it| it.is_of_the_same(&memory));
        let is_same = same.is_some();
        memory.revision = memory.revision.max(same.map_or(0, |it| it.revision));
        let is_notable = !is_same || memory.revision >= self.saved.saturating_add(NOTABLE);
        self.memory = Some(memory);
        if is_notable { File::Write } else { File::Stays }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::Timestamp;

    fn meta(id: &str, era: u32) -> Meta {
        Meta {
            era,
            ..Meta::new(id.to_owned())
        }
    }

    fn doubt() -> Doubt {
        Doubt {
            by: "one".to_owned(),
            why: "it is another one".to_owned(),
            since: Timestamp(5),
        }
    }

    #[test]
    fn the_file_follows_the_store_and_not_every_revision() {
        let mut belief = Belief::default();
        let mut sees = |found: Option<Meta>, revision| {
            let file = belief.remember(found, None, Revision(revision));
            if file == File::Write {
                belief.mark_saved();
            }
            (file, belief.memory.as_ref().map(|it| it.revision))
        };
        for (found, revision, expected) in [
            (None, 1, (File::Stays, None)),
            (Some(meta("ab", 2)), 5, (File::Write, Some(5))),
            (Some(meta("ab", 2)), 104, (File::Stays, Some(104))),
            // An answer that was on its way for longer.
            (Some(meta("ab", 2)), 90, (File::Stays, Some(104))),
            (Some(meta("ab", 2)), 105, (File::Write, Some(105))),
            (Some(meta("ab", 1)), 900, (File::Stays, Some(105))),
            (Some(meta("cd", 3)), 7, (File::Write, Some(7))),
            (None, 1, (File::Remove, None)),
        ] {
            assert_eq!(sees(found, revision), expected, "at {revision}");
        }
    }

    #[test]
    fn what_was_let_through_and_is_another_one_is_over_for_good() {
        let mut belief = Belief::default();
        assert!(!belief.is_over_with(Some(&meta("ab", 1))));
        assert!(!belief.is_over_with(None), "an empty one says nothing");
        assert!(belief.is_over_with(Some(&meta("ab", 2))));
        assert!(belief.is_over_with(Some(&meta("ab", 1))));

        let mut fresh = Belief::default();
        fresh.doubted(doubt());
        let confirmed = fresh.is_over_with(Some(&meta("ab", 2)));
        assert!(!confirmed, "nothing was let through before the doubt");
        fresh.doubted(doubt());
        assert!(fresh.is_over_with(Some(&meta("ab", 2))));
    }

    #[test]
    fn what_went_back_is_doubted_until_a_later_era() {
        let mut belief = Belief::default();
        belief.remember(Some(meta("ab", 2)), None, Revision(50));
        belief.replaced("it went back", Some(Revision(60)));
        let before = belief.memory.clone().expect("a memory");
        assert_eq!(before.revision, 60);
        let said = |era| belief.suspicion(&before, Some(&meta("ab", era)), None, Revision(70));
        assert_eq!(said(2).as_deref(), Some("it went back"));
        assert_eq!(said(3), None);
    }

    #[test]
    fn a_cluster_of_before_is_looked_for_now_and_then() {
        let mut belief = Belief::default();
        let old = Some("c1".to_owned());
        belief.remember(Some(meta("ab", 2)), old.clone(), Revision(50));
        assert_eq!(belief.look_elsewhere(Some("c2")), None, "no doubt yet");
        belief.doubted(doubt());
        let looks: Vec<bool> = (0..16)
            .map(|_| belief.look_elsewhere(Some("c2")) == old)
            .collect();
        let expected: Vec<bool> = (1..=16).map(|it| it % 8 == 0).collect();
        assert_eq!(looks, expected);
        let own = (0..8).find_map(|_| belief.look_elsewhere(Some("c1")));
        assert_eq!(own, None);
    }
}
