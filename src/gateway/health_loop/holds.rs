//! The half of the health loop that is about requests that wait while their service moves: what `holding` decides is done here.

use super::super::holding::Turn;
use super::super::news;
use super::HealthLoop;
use crate::clock;
use minato_config::ServiceName;
use minato_control::World;

impl HealthLoop {
    /// Whether requests of a service wait, as the store says.
    pub(super) fn follow_hold(&mut self, world: &World, name: &ServiceName) {
        let record = world.holds.get(name).map(|it| &it.value);
        let turn = (self.holding).turn(name, record, clock::now(), clock::wall());
        self.hold(name, &turn);
    }

    /// Ends those whose time is over, and tells how many requests are left of the others.
    pub(super) fn look_at_holds(&mut self) {
        for (name, turn) in self.holding.overdue(clock::now()) {
            self.hold(&name, &turn);
        }
        for name in self.holding.held() {
            self.tell_held(&name);
        }
    }

    fn hold(&mut self, name: &ServiceName, turn: &Turn) {
        let table = self.options.table.load();
        let Some(entry) = table.service(name) else {
            return;
        };
        let queue = &entry.shared.queue;
        let waiting = queue.waiting();
        match turn {
            Turn::Stays => return,
            Turn::Hold(_) => {
                queue.hold();
                self.tell_held(name);
            }
            Turn::Release(..) => {
                queue.release();
                self.options.reports.remove_held(name);
            }
        }
        if let Some(event) = news::held(name, turn, waiting, clock::wall()) {
            self.tell(event);
        }
    }

    /// Tells the store how many requests are being served of a service whose others wait.
    fn tell_held(&mut self, name: &ServiceName) {
        let table = self.options.table.load();
        let in_flight = table.service(name);
        let in_flight = in_flight.map_or(0, |it| it.shared.queue.in_flight());
        if let Some(report) = self.holding.report(name, in_flight) {
            self.options.reports.set_held(name, report);
        }
    }
}
