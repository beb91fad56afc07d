//! Other sites, as this node's gateway sees them.

use serde::{Deserialize, Serialize};

/// One gateway of another site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Of which site.
    pub site: String,
    /// Where it accepts links; empty where no address of the site was found yet.
    pub address: String,
    /// The machine that answers there; empty while nobody has.
    pub node: String,
    /// `up`, `down`, or `unknown`.
    pub state: String,
    /// Why it is down; empty otherwise.
    pub reason: String,
    /// Since when it is so.
    pub since_ms: u64,
    /// From question to answer, the median of the last minute.
    #[serde(default)]
    pub delay_ms: Option<f64>,
    /// Of the questions of the last minute, the part that was not answered in time; 0 to 1.
    pub loss: f64,
    /// Bytes in a second, as measured last.
    #[serde(default)]
    pub bandwidth: Option<u64>,
    /// Its version of minato.
    pub version: String,
    /// Its wall clock minus this machine's.
    pub clock_off_ms: i64,
}

/// How the visitors of one service are shared out among sites, where its first does not take them all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShareStatus {
    /// Of which service.
    pub service: String,
    /// Site and percent, best first.
    pub sites: Vec<(String, f64)>,
    /// Percent that get the sorry page.
    pub excess: f64,
}

/// How one gateway of this site sees another site, as it says in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObserverStatus {
    /// Who says so.
    pub gateway: String,
    /// Of which site.
    pub site: String,
    /// A gateway there answers it.
    pub up: bool,
    /// Since when it is so.
    pub since_ms: u64,
    /// Why none answers; empty otherwise.
    pub reason: String,
    /// Microseconds from question to answer, of the best gateway there.
    #[serde(default)]
    pub delay_us: Option<u64>,
    /// Of the questions of the last minute, those that were not answered in time, in thousandths.
    pub loss_permille: u16,
    /// Bytes in a second, as measured last.
    #[serde(default)]
    pub bandwidth: Option<u64>,
    /// Version of minato there.
    pub version: String,
    /// The wall clock there minus the gateway's.
    pub clock_off_ms: i64,
}

/// How far this gateway lets visitors of one service go to one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CourseStatus {
    /// Of which service.
    pub service: String,
    /// To which site.
    pub site: String,
    /// Percent of the visitors that may go there: 0 after it was left, less than 100 while it comes back.
    pub percent: u8,
    /// How often it was left within the last hour; 3 hold it.
    pub left: usize,
    /// It is not gone back to before a person says so.
    pub is_held: bool,
}

/// `GET /v1/sites`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SitesStatus {
    /// This site.
    pub site: String,
    /// This node, whose gateway speaks.
    pub node: String,
    /// When this answer was made.
    pub now_ms: u64,
    /// Gateways of other sites, as this gateway sees them.
    pub links: Vec<LinkStatus>,
    /// Other sites, as each live gateway of this site sees them.
    pub observers: Vec<ObserverStatus>,
    /// Sites that visitors do not all go to.
    pub courses: Vec<CourseStatus>,
    /// How visitors are shared out where the first site does not take them all.
    pub shares: Vec<ShareStatus>,
}

/// `POST /v1/sites/{site}/release`: visitors may go there again at once, whatever happened before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRequest {
    /// Only of this service; all that the site is listed for otherwise.
    #[serde(default)]
    pub service: Option<String>,
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
}

/// How much of another site's access log is here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatherStatus {
    /// Of which site.
    pub site: String,
    /// When it was asked for.
    pub at_ms: u64,
    /// It is still being fetched.
    #[serde(default)]
    pub is_under_way: bool,
    /// Each gateway there that answered.
    pub gateways: Vec<GatheredGateway>,
    /// What is missing, and why; empty when all is here that was there.
    pub detail: String,
}

/// The log of one gateway of another site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatheredGateway {
    /// Which.
    pub gateway: String,
    /// Bytes of its log that are here, or were and made room.
    pub bytes: u64,
    /// Bytes that it has.
    pub of: u64,
    /// Why not all is here; empty otherwise.
    pub detail: String,
}

impl GatherStatus {
    /// Whether all that was there is here.
    pub fn is_complete(&self) -> bool {
        !self.is_under_way && self.detail.is_empty()
    }

    /// `complete: 3.2 MB of 2 gateways`, or what is missing.
    pub fn text(&self) -> String {
        let (here, there) = self
            .gateways
            .iter()
            .fold((0, 0), |(here, there), it| (here + it.bytes, there + it.of));
        let what = format!(
            "{here} of {there} bytes of {} gateways of {}",
            self.gateways.len(),
            self.site
        );
        match (self.is_under_way, self.detail.is_empty()) {
            (true, _) => format!("still being fetched from {}; ask again", self.site),
            (false, true) => format!("complete: {what}"),
            (false, false) => format!("incomplete: {what}; {}", self.detail),
        }
    }
}
