//! Whether a site is gone, or only out of this gateway's sight: more than one observer.
//!
//! The model is [`crate::combine`]: what one observer alone has lost is not gone. Not here: who asks whom (`src/link`), what follows
//! ([`super::Course`]).

/// How a site is reached, by what this gateway and others see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A gateway of it answers here. What others say does not matter then.
    Answers,
    /// It does not, and most who look for it agree.
    Silent,
    /// It does not, and as many or more others are answered: what is broken is between it and here.
    Alone,
}

/// `answers`: whether a gateway of the site does, here. `colleagues`: what each other live gateway of this site sees. `witnesses`: what each
/// third site sees; they are asked only where there is no colleague, since they look from elsewhere.
///
/// | observers | silent |
/// |---|---|
/// | 1 | it |
/// | 2 | both |
/// | 3 and more | more than half |
pub fn reach(answers: bool, colleagues: &[bool], witnesses: &[bool]) -> Reach {
    if answers {
        return Reach::Answers;
    }
    let others = if colleagues.is_empty() {
        witnesses
    } else {
        colleagues
    };
    let answered = others.iter().filter(|it| **it).count();
    let silent = others.len() - answered + 1;
    if silent > answered {
        Reach::Silent
    } else {
        Reach::Alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This gateway, its colleagues, third sites: `+` answered, `-` not.
    #[track_caller]
    fn check(own: &str, colleagues: &str, witnesses: &str, expected: Reach) {
        let seen = |text: &str| text.chars().map(|it| it == '+').collect::<Vec<_>>();
        let found = reach(own == "+", &seen(colleagues), &seen(witnesses));
        assert_eq!(found, expected, "{own} {colleagues} {witnesses}");
    }

    #[test]
    fn more_than_half_must_have_lost_it() {
        use Reach::{Alone, Answers, Silent};
        check("+", "", "", Answers);
        check("+", "---", "---", Answers);
        check("-", "", "", Silent);
        check("-", "-", "", Silent);
        check("-", "+", "", Alone);
        check("-", "-+", "", Silent);
        check("-", "++", "", Alone);
        check("-", "--++", "", Silent);
        check("-", "-++", "", Alone);
    }

    #[test]
    fn third_sites_are_asked_where_there_is_no_colleague() {
        use Reach::{Alone, Silent};
        check("-", "", "+", Alone);
        check("-", "", "-", Silent);
        check("-", "", "+-", Silent);
        check("-", "-", "++", Silent);
        check("-", "+", "--", Alone);
    }
}
