//! A site that takes over what is made of images: those that cannot be had there are known before anything is moved.

use super::registry::{Access, Registry};
use super::stage::{Engine, inside_with};
use super::updates::NAME;
use crate::links::Cloud;
use crate::support::clock::until;
use crate::support::http::get;
use crate::support::site::PATIENT;
use crate::support::tls::Authority;
use crate::switches::{has_moved, refused, until_operation};
use rustix::process::Signal;

/// A site whose agent runs images of that engine.
fn cloud(name: &'static str, authority: &Authority, engine: &Engine) -> Cloud {
    let cloud = Cloud::new(name, authority, name);
    super::runs_images(&cloud.site, engine);
    cloud
}

/// An image that this machine has under another name only, once it runs at tokyo; `osaka` starts nothing of it until it is asked for.
fn file(service: &str) -> String {
    format!(
        "image = \"{NAME}:{service}\"\nport = 8080\ninit = true\nroutes = [\"{service}.test\"]\n\
         sites = [\"tokyo\", \"osaka\"]\nstandby = \"cold\"\nstop = {{ drain = \"2s\", grace = \"1s\" }}\n{}",
        PATIENT.of("path = \"/healthz\"")
    )
}

/// What a switch of it would find of its image.
fn tried(osaka: &Cloud, service: &str) -> String {
    let words = ["switch", "--to", "osaka", service, "--dry-run"];
    let printed = osaka.site.type_in_any(&words);
    let mut lines = printed.lines().filter(|it| it.contains("image"));
    lines.next().unwrap_or_default().to_owned()
}

#[test]
fn an_image_that_the_other_site_cannot_have_keeps_its_service_from_moving() {
    let test =
        "containers::moved::an_image_that_the_other_site_cannot_have_keeps_its_service_from_moving";
    inside_with(&[("docker-registry", "docker-registry")], test, async {
        let engine = Engine::start().await;
        let registry = Registry::start(Access::Anybody).await;
        let authority = Authority::new("sites");
        let mut tokyo = cloud("tokyo", &authority, &engine);
        let mut osaka = cloud("osaka", &authority, &engine);
        tokyo.knows(&osaka);
        osaka.knows(&tokyo);
        // Of two that were built here one was pushed.
        for service in ["pushed", "kept"] {
            let reference = format!("{NAME}:{service}");
            engine.image(&[&reference, &format!("local/{service}:1")]);
            tokyo.site.write(service, &file(service));
        }
        engine.docker(&["push", &format!("{NAME}:pushed")]);
        tokyo.site.start();
        for service in ["pushed", "kept"] {
            tokyo.site.wait_ok(service, 1);
            engine.docker(&["rmi", &format!("{NAME}:{service}")]);
        }

        // Nobody knows as long as the registry says nothing; that keeps nothing from moving.
        registry.signal(Signal::STOP);
        osaka.site.start();
        osaka.until_told(&["link to tokyo is up"]);
        until("osaka to say that it does not know", || {
            let words = ["switch", "--to", "osaka", "kept", "--dry-run"];
            let output = osaka.site.cli(&words);
            let found = tried(&osaka, "kept");
            (found.contains("unknown: no machine of osaka") && output.status.success())
                .then_some(())
        });
        registry.signal(Signal::CONT);

        until("osaka to know of both", || {
            let (pushed, kept) = (tried(&osaka, "pushed"), tried(&osaka, "kept"));
            (pushed.contains("0 of 1 machines have it, 1 can have it from its registry")
                && kept.contains("fails"))
            .then_some(())
        });
        let why = [
            "checks fail: ",
            "kept: image: ",
            &format!("{NAME}:kept cannot be had at osaka: "),
            "127.0.0.1:5000 has no such image: check name and tag, or push it",
        ];
        let both = ["switch", "--to", "osaka", "--quiet", "0s"];
        refused(&tokyo.site.cli(&both), &why);
        refused(&osaka.site.cli(&[&both[..], &["kept"]].concat()), &why);
        // Nothing was begun, and nothing was fetched to find it out.
        assert_eq!(
            osaka.site.type_in(&["operation", "list"]).lines().count(),
            1
        );
        let keeping = format!("{NAME}:kept");
        engine.docker(&["tag", "local/kept:1", &keeping]);
        engine.docker(&["push", &keeping]);
        engine.docker(&["rmi", &keeping]);
        let reference = format!("{NAME}:pushed");
        assert_eq!(engine.docker(&["images", "-q", &reference]), "");

        let printed = osaka
            .site
            .type_in(&[&both[..], &["pushed", "--no-wait"]].concat());
        let id = crate::switches::number(&printed);
        let moved = until_operation(&osaka, id, "moved or over", |it| {
            has_moved(it) || it["ended"] == true
        });
        assert!(has_moved(&moved), "{moved}");
        let answer = get(osaka.site.gateway(), "pushed.test", "/file/name").unwrap();
        assert_eq!((answer.status, answer.text()), (200, reference.clone()));
        assert_ne!(engine.docker(&["images", "-q", &reference]), "");
        assert_eq!(osaka.site.service("pushed")["up"], 1);
        // What was put right is found without anybody's help.
        until("osaka to have looked again", || {
            tried(&osaka, "kept")
                .contains("1 can have it")
                .then_some(())
        });
        osaka
            .site
            .type_in(&["switch", "--to", "osaka", "kept", "--dry-run"]);
    });
}
