//! Keeps the server from handing out its own files, among them secrets, where it serves all files of a folder.

use std::fs::canonicalize;
use std::path::Path;

use super::real_path::real_path;
use crate::cli::error::CommandError;
use crate::config::Config;
use crate::hosted::Store;
use crate::policy::{Originals, ZoneOrigin};

/// Checks that neither the settings nor the folders of the server are among the files that are served as they are. Pictures alone never are.
///
/// # Errors
/// [`CommandError`] names what would be served.
pub(super) fn check(config: &Config, file: Option<&Path>) -> Result<(), CommandError> {
    let ZoneOrigin::Folder(folder) = &config.zone.origin else {
        return Ok(());
    };
    if config.zone.originals != Some(Originals::All) {
        return Ok(());
    }
    let Ok(folder) = canonicalize(folder) else {
        return Ok(());
    };
    let cache = &config.cache.disk.path;
    let cache = (!cache.as_os_str().is_empty()).then_some(cache.as_path());
    let hosted = &config.hosted;
    let index = (hosted.store != Store::Off).then_some(hosted.index.as_path());
    let tokens = hosted.token.iter();
    let tokens = tokens.map(|token| ("a token", token.token_file.as_deref()));
    let own = [
        ("the settings", file),
        ("the disk cache", cache),
        ("the index of hosted images", index),
    ];
    let headers = config.traces.headers_file.as_deref();
    let headers = [("the header fields for a collector", headers)];
    for (what, path) in own.into_iter().chain(headers).chain(tokens) {
        let Some(path) = path.map(real_path) else {
            continue;
        };
        if path.starts_with(&folder) {
            return Err(CommandError(format!(
                "with `zone.originals = \"all\"` everybody could read {what} `{}`, which is in the folder `{}`: keep it elsewhere, or serve pictures alone",
                path.display(),
                folder.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::hosted::TokenConfig;

    #[test]
    fn own_files_are_never_served() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("site")).expect("a folder");
        fs::write(at("site/config.toml"), "").expect("a file");
        fs::write(at("config.toml"), "").expect("a file");
        let check_with = |originals, file: &str, cache: PathBuf| {
            let mut config = Config::default();
            config.zone.origin = ZoneOrigin::Folder(at("site"));
            config.zone.originals = originals;
            config.cache.disk.path = cache;
            check(&config, Some(&at(file))).map_err(|error| error.to_string())
        };
        let all = Some(Originals::All);
        let elsewhere = at("cache");
        assert_eq!(check_with(all, "config.toml", elsewhere.clone()), Ok(()));
        assert_eq!(check_with(all, "config.toml", PathBuf::new()), Ok(()));
        assert_eq!(
            check_with(None, "site/config.toml", at("site/cache")),
            Ok(())
        );
        let error = check_with(all, "site/config.toml", elsewhere).expect_err("it is served");
        assert!(error.contains("the settings"), "{error}");
        let error = check_with(all, "config.toml", at("site/cache")).expect_err("it is served");
        assert!(error.contains("the disk cache"), "{error}");

        let check_hosted = |index: &str, token: &str| {
            let mut config = Config::default();
            config.zone.origin = ZoneOrigin::Folder(at("site"));
            config.zone.originals = all;
            config.cache.disk.path = at("cache");
            config.hosted.store = Store::Folder(at("images"));
            config.hosted.index = at(index);
            config.hosted.token = vec![TokenConfig {
                token_file: Some(at(token)),
                ..TokenConfig::default()
            }];
            check(&config, Some(&at("config.toml"))).map_err(|error| error.to_string())
        };
        assert_eq!(check_hosted("index", "token"), Ok(()));
        let error = check_hosted("site/new/index", "token").expect_err("it is served");
        assert!(error.contains("the index of hosted images"), "{error}");
        let error = check_hosted("index", "site/token").expect_err("it is served");
        assert!(error.contains("could read a token"), "{error}");
    }
}
