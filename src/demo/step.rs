//! The steps of the demo, their names and their order.

use crate::demo::outcome::Service;

/// What can be asked for by `--only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Step {
    /// kill -9 an instance, of `pages` and then of `orders`
    Kill,
    /// SIGSTOP the process group of an instance of `orders`
    Freeze,
    /// an instance of `orders` accepts requests and never answers
    Hang,
    /// an instance of `orders` answers 500 on its health path
    Sick,
    /// replace every instance of `orders`, one at a time
    Restart,
    /// add a route to a file and take it away again
    Route,
    /// scale `orders` to 4 and back to 2
    Scale,
    /// put the same binary in place of the running one
    Upgrade,
    /// write a broken file
    Broken,
    /// last: kill and freeze again with checks and retries off; must show failures
    Control,
}

/// What is done to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Kill,
    Freeze,
    Hang,
    Sick,
}

/// One thing done and measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    Fault(Fault, Service),
    Restart,
    Route,
    Scale,
    Upgrade,
    Broken,
}

impl Act {
    /// As it stands over its timeline.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Fault(Fault::Kill, of) => format!("kill -9 an instance of {of}"),
            Self::Fault(Fault::Freeze, of) => format!("freeze an instance of {of} with SIGSTOP"),
            Self::Fault(Fault::Hang, of) => {
                format!("an instance of {of} accepts requests and never answers")
            }
            Self::Fault(Fault::Sick, of) => {
                format!("an instance of {of} answers 500 on its health path")
            }
            Self::Restart => "replace every instance of orders, one at a time".to_owned(),
            Self::Route => "edit a file: one route more, then away again".to_owned(),
            Self::Scale => "scale orders from 2 to 4 and back".to_owned(),
            Self::Upgrade => "upgrade: another process of the same binary takes over".to_owned(),
            Self::Broken => "write a broken file".to_owned(),
        }
    }

    /// As it stands in tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fault(Fault::Kill, Service::Pages) => "kill pages",
            Self::Fault(Fault::Kill, Service::Orders) => "kill orders",
            Self::Fault(Fault::Freeze, Service::Pages) => "freeze pages",
            Self::Fault(Fault::Freeze, Service::Orders) => "freeze orders",
            Self::Fault(Fault::Hang, _) => "hang orders",
            Self::Fault(Fault::Sick, _) => "sick orders",
            Self::Restart => "restart orders",
            Self::Route => "edit a route",
            Self::Scale => "scale orders",
            Self::Upgrade => "upgrade",
            Self::Broken => "broken file",
        }
    }
}

/// Without `--only`: everything but `hang`, which looks like `freeze`.
const DEFAULT: [Step; 9] = [
    Step::Kill,
    Step::Freeze,
    Step::Restart,
    Step::Sick,
    Step::Route,
    Step::Scale,
    Step::Upgrade,
    Step::Broken,
    Step::Control,
];

/// What will be done, in order, without the control run; and whether that is asked for.
pub(crate) fn plan(only: &[Step], repeat: u32) -> (Vec<(u32, Act)>, Option<Step>) {
    let asked = if only.is_empty() { &DEFAULT[..] } else { only };
    let acts = |step: &Step| match step {
        Step::Kill => vec![
            Act::Fault(Fault::Kill, Service::Pages),
            Act::Fault(Fault::Kill, Service::Orders),
        ],
        Step::Freeze => vec![Act::Fault(Fault::Freeze, Service::Orders)],
        Step::Hang => vec![Act::Fault(Fault::Hang, Service::Orders)],
        Step::Sick => vec![Act::Fault(Fault::Sick, Service::Orders)],
        Step::Restart => vec![Act::Restart],
        Step::Route => vec![Act::Route],
        Step::Scale => vec![Act::Scale],
        Step::Upgrade => vec![Act::Upgrade],
        Step::Broken => vec![Act::Broken],
        Step::Control => Vec::new(),
    };
    let all = (1..=repeat).flat_map(|turn| {
        let acts = asked.iter().flat_map(acts);
        acts.map(move |act| (turn, act))
    });
    let control = asked.iter().find(|it| **it == Step::Control).copied();
    (all.collect(), control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_steps_in_order_by_default_and_the_control_run_last() {
        let (acts, control) = plan(&[], 1);
        let names: Vec<&str> = acts.iter().map(|(_, act)| act.name()).collect();
        let wanted = "kill pages, kill orders, freeze orders, restart orders, sick orders, edit a route, scale orders, upgrade, broken file";
        assert_eq!(names.join(", "), wanted);
        assert_eq!(control, Some(Step::Control));
    }

    #[test]
    fn only_what_is_asked_for_as_often_as_asked() {
        let (acts, control) = plan(&[Step::Freeze, Step::Hang], 3);
        let turns: Vec<u32> = acts.iter().map(|(turn, _)| *turn).collect();
        assert_eq!(turns, [1, 1, 2, 2, 3, 3]);
        assert_eq!(control, None);
    }
}
