//! Logins of registries, from the file that `docker login` writes. Read anew for each fetch; what is in it is never told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of the file at most.
const LONGEST: u64 = 1 << 20;
/// How Docker's own registry is named in that file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

#[derive(Deserialize)]
struct Logins {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize, Default)]
struct Login {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// The login of a registry; `None` where the file has none. The error names the file, what is wrong and what to do.
pub(super) fn login(file: &Path, registry: &str) -> Result<Option<DockerCredentials>, String> {
    let shown = file.display();
    let mut text = String::new();
    let read = File::open(file).and_then(|it| it.take(LONGEST).read_to_string(&mut text));
    if let Err(error) = read {
        return Err(format!(
            "the file of logins {shown} cannot be read: {error}; make it with `docker login {registry}` or correct `logins` in [agent.docker]"
        ));
    }
    // The parser's own words may quote what it read.
    let logins: Logins = serde_json::from_str(&text).map_err(|it| {
        format!(
            "the file of logins {shown} is not what `docker login` writes (line {}); make it anew with `docker login {registry}`",
            it.line()
        )
    })?;
    let names = match registry {
        "docker.io" => vec![DOCKER_HUB, "docker.io", "index.docker.io"],
        other => vec![other],
    };
    let bare = |key: &str| {
        let key = key
            .strip_prefix("https://")
            .or(key.strip_prefix("http://"))
            .unwrap_or(key);
        key.split('/').next().unwrap_or(key).to_owned()
    };
    let found = logins
        .auths
        .iter()
        .find(|(key, _)| names.contains(&key.as_str()) || bare(key) == registry);
    let Some((key, found)) = found else {
        return Ok(None);
    };
    let (username, password) = match &found.auth {
        Some(auth) if !auth.is_empty() => {
            let pair = STANDARD
                .decode(auth)
                .ok()
                .and_then(|it| String::from_utf8(it).ok());
            let pair = pair.as_deref().and_then(|it| it.split_once(':'));
            let (user, password) = pair.ok_or_else(|| {
                format!(
                    "the login of {registry} in {shown} cannot be decoded; make it anew with `docker login {registry}`"
                )
            })?;
            (Some(user.to_owned()), Some(password.to_owned()))
        }
        _ => (found.username.clone(), found.password.clone()),
    };
    if username.is_none() && found.identitytoken.is_none() {
        return Err(format!(
            "{shown} names {registry} but holds no password (a credential helper may have it, which minato does not call); write it with `docker --config FOLDER login {registry}` on a machine without one"
        ));
    }
    Ok(Some(DockerCredentials {
        username,
        password,
        identitytoken: found.identitytoken.clone(),
        serveraddress: Some(key.clone()),
        ..Default::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, registry: &str) -> Result<Option<DockerCredentials>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, text).unwrap();
        login(&file, registry)
    }

    #[test]
    fn logins_as_docker_writes_them() {
        let text = r#"{"auths":{"registry.example:5000":{"auth":"YW5uOnNlOmNyZXQ="},
            "https://index.docker.io/v1/":{"username":"u","password":"p"},"https://other.example/v2/":{"auth":"YTpi"}},"x":1}"#;
        let ann = of(text, "registry.example:5000").unwrap().unwrap();
        assert_eq!(
            (ann.username.as_deref(), ann.password.as_deref()),
            (Some("ann"), Some("se:cret"))
        );
        assert_eq!(
            of(text, "docker.io").unwrap().unwrap().username.as_deref(),
            Some("u")
        );
        assert_eq!(
            of(text, "other.example")
                .unwrap()
                .unwrap()
                .username
                .as_deref(),
            Some("a")
        );
        assert!(of(text, "third.example").unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_told_without_what_is_secret() {
        for text in [
            r#"{"auths":{"r.example":{"auth":"c2VjcmV0"}}}"#,
            r#"{"auths":{"r.example":{"auth":"!!secret"}}}"#,
            r#"{"auths":{"r.example":{}},"credsStore":"secret"}"#,
            r#"{"auths":{"r.example":"secret"}}"#,
            "secret",
        ] {
            let error = of(text, "r.example").unwrap_err();
            assert!(
                !error.contains("secret") && error.contains("docker "),
                "{error}"
            );
        }
        assert!(
            login(Path::new("/no/such/file"), "r.example")
                .unwrap_err()
                .contains("cannot be read")
        );
    }
}
