//! What should be true: sites, services, routes and their numbers, and the checking of the text they are written in.
//!
//! Pure: text in, values or a list of [`Problem`]s out. Inside, what exists is valid.
//! Not here: reading and watching files (`config/files`), what is running (`health`), keys in the store (`control/store`).

mod dependency;
mod duration;
mod entrance;
mod id;
mod image;
mod limit;
mod order;
mod parse;
mod problem;
mod route;
mod scale;
mod service;
mod settings;
mod site;
mod time;
mod update;
mod upstream;
mod wants;

pub use dependency::{
    Balance, Database, DatabaseEngine, DatabaseRole, Dependency, DependencyCheck, MemberProbe,
    Relay,
};
pub use entrance::{
    DnsKey, DnsSettings, EntranceHook, EntranceSettings, Follow, HookTarget, KeyAlgorithm,
};
pub use id::{
    DependencyName, EntranceName, GatewayId, Generation, HookName, InvalidId, NodeId, Run,
    ServiceName, SiteId, SlotIndex,
};
pub use image::{
    Access, BRIDGE_NETWORK, Grant, HOST_NETWORK, Image, ImageReference, InvalidImage, Mount, Pull,
    Resources, Secret, SecretForm,
};
pub use limit::{Limits, Timeouts};
pub use order::{Move, MoveKind, NEVER_COPIED, OrderRecord};
pub use parse::{
    Conflict, check_service, check_sites, find_conflicts, parse_service, parse_settings,
    salvage_service, salvage_settings,
};
pub use problem::Problem;
pub use route::{HostPattern, PathPrefix, Route, RouteAction, RoutePattern};
pub use scale::Scale;
pub use service::{
    Backend, Command, Health, HealthProbe, HealthTiming, HttpProbe, Intent, MirrorMode, Restart,
    Service, ServiceRecord, Slot, Source, StatusRange, StopPolicy,
};
pub use settings::{
    AgentSettings, ClientAuth, ControlSettings, DockerSettings, EtcdSettings, GatewaySettings,
    HookCommand, HookSettings, HttpsListener, Overcommit, PortRange, Reaping, Role,
    RuntimeSettings, Settings,
};
pub use site::{
    AtSite, Base, Consent, GatewayAddress, LinkFiles, LinkSettings, Mirroring, PeerSettings, Sites,
    Standby, StreamOffer, Targets,
};
pub use time::Timestamp;
pub use update::{Release, Released, UpdateOrder, UpdatePolicy};
pub use upstream::{Upstream, UpstreamProtocol, UpstreamTls, Verify};
pub use wants::{Salvaged, Wants};
