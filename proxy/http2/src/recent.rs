//! Streams that were reset by us: what was under way for them when their client had not heard of it is no error.

/// How many are remembered one by one.
const MOST: usize = 64;

/// Remembers; holds no memory until there is something to remember.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    ids: Vec<u32>,
    /// Where the next goes, once all places are taken.
    next: usize,
    /// The highest that was forgotten. Of all up to it nothing is known, and the client is believed.
    forgotten: u32,
}

impl Recent {
    pub(crate) fn add(&mut self, id: u32) {
        if self.ids.len() < MOST {
            self.ids.push(id);
            return;
        }
        if let Some(place) = self.ids.get_mut(self.next) {
            self.forgotten = self.forgotten.max(*place);
            *place = id;
        }
        self.next = (self.next + 1) % MOST;
    }

    /// Whether something may still come on it without fault of the client's.
    pub(crate) fn may_hold(&self, id: u32) -> bool {
        id <= self.forgotten || self.ids.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_forgiven() {
        let mut recent = Recent::default();
        assert!(!recent.may_hold(1));
        for id in 0..MOST as u32 {
            recent.add(2 * id + 101);
        }
        assert!(recent.may_hold(101) && !recent.may_hold(1) && !recent.may_hold(99));
        recent.add(1001);
        assert!(recent.may_hold(1001) && recent.may_hold(101) && recent.may_hold(99));
        assert!(!recent.may_hold(999));
        for id in 0..1000 {
            recent.add(2001 + 2 * id);
        }
        assert_eq!(recent.ids.len(), MOST);
    }
}
