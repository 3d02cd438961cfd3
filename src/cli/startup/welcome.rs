//! What a server prints when it is ready: its addresses, and for who has written no settings also what it serves, where its cache is, and some URLs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::absolute;

use super::pictures;
use crate::config::Config;
use crate::hosted::Store;
use crate::policy::ZoneOrigin;

/// Options for one picture after another.
const OPTIONS: [&str; 3] = [
    "width=800,format=auto",
    "width=400,height=400,fit=cover,gravity=auto,format=auto",
    "width=500,height=500,fit=pad,background=white,format=auto",
];

/// What is printed under the addresses.
pub(crate) struct Welcome {
    /// What is served and where the cache is.
    pub(super) notes: Vec<String>,
    /// Whether URLs of pictures are printed.
    pub(super) has_examples: bool,
}

impl Welcome {
    /// The lines for a server with these addresses.
    pub(crate) async fn lines(
        self,
        config: &Config,
        public: SocketAddr,
        admin: SocketAddr,
    ) -> Vec<String> {
        let mut lines = vec![format!(
            "safelight serves pictures on http://{public} and metrics on http://{admin}/metrics"
        )];
        lines.extend(self.notes);
        lines.extend(hosted(config, public));
        if self.has_examples
            && let Some(prefix) = config.server.prefixes.first()
        {
            let base = format!("http://{}{prefix}", reachable(public));
            lines.extend(examples(config, &base).await);
        }
        lines
    }
}

/// Says what is served.
pub(super) fn origin(config: &Config) -> String {
    match &config.zone.origin {
        ZoneOrigin::Folder(folder) => {
            format!("the pictures are in the folder {}", folder.display())
        }
        ZoneOrigin::Http(url) => format!(
            "the pictures are on the site {}",
            url.as_str().trim_end_matches('/')
        ),
        ZoneOrigin::Bucket(name) => {
            format!(
                "the pictures are in the bucket {}",
                bucket(config, name, "")
            )
        }
        ZoneOrigin::None => "the pictures are those that are uploaded here".to_owned(),
    }
}

/// A bucket, what the keys in it begin with, and where it is.
fn bucket(config: &Config, name: &str, prefix: &str) -> String {
    let section = config.bucket.iter().find(|known| known.name == name);
    let bucket = section.map_or(name, |section| &section.bucket);
    let place = section.map_or("", |section| match section.endpoint.as_str() {
        "" => &section.region,
        endpoint => endpoint,
    });
    let slash = if prefix.is_empty() { "" } else { "/" };
    format!("{bucket}{slash}{prefix} ({place})")
}

/// Says where hosted images are kept, and where they are uploaded and shown.
fn hosted(config: &Config, public: SocketAddr) -> Vec<String> {
    let place = match &config.hosted.store {
        Store::Off => return Vec::new(),
        Store::Folder(folder) => {
            let folder = absolute(folder).unwrap_or_else(|_| folder.clone());
            format!("in the folder {}", folder.display())
        }
        Store::Bucket { name, prefix } => {
            format!("in the bucket {}", bucket(config, name, prefix))
        }
    };
    let (account, hash) = (&config.hosted.account, &config.hosted.hash);
    let base = match config.hosted.public_url.as_str() {
        Some(url) => url.to_owned(),
        None => format!("http://{}", reachable(public)),
    };
    let shown = match (
        config.hosted.public_url.as_str(),
        config.hosted.delivery_hosts.first(),
    ) {
        (None, Some(host)) => format!("https://{host}/{hash}"),
        _ => format!("{base}/cdn-cgi/imagedelivery/{hash}"),
    };
    vec![
        format!("hosted images of the account {account} are kept {place}"),
        format!("  they are uploaded at {base}/client/v4/accounts/{account}/images/v1"),
        format!("  and shown at {shown}/ID/VARIANT"),
    ]
}

/// URLs to open.
async fn examples(config: &Config, base: &str) -> Vec<String> {
    let first = OPTIONS[0];
    let replace = |what: &str| {
        vec![
            format!("open this, with {what} in place of cats/tom.jpg:"),
            format!("  {base}{first}/cats/tom.jpg"),
        ]
    };
    match &config.zone.origin {
        ZoneOrigin::Http(_) => replace("the path of a picture on that site"),
        ZoneOrigin::Bucket(_) => replace("the key of a picture in that bucket"),
        ZoneOrigin::None => Vec::new(),
        ZoneOrigin::Folder(folder) => {
            let max_bytes = config.limits.source_bytes.bytes();
            let found = pictures::find(folder, OPTIONS.len(), max_bytes).await;
            let start = match found.len() {
                0 => {
                    return vec![
                        "no picture was found there; with a picture cat.jpg in it, open this:"
                            .to_owned(),
                        format!("  {base}{first}/cat.jpg"),
                    ];
                }
                1 => "open this:",
                _ => "open one of these:",
            };
            let urls = OPTIONS.iter().zip(found);
            let urls = urls.map(|(options, path)| format!("  {base}{options}/{path}"));
            [start.to_owned()].into_iter().chain(urls).collect()
        }
    }
}

/// An address that a browser on this machine can open.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

#[cfg(test)]
mod tests {
    use super::{Welcome, origin};
    use crate::config::Config;

    async fn lines(settings: &str, listen: &str) -> Vec<String> {
        let config = Config::parse(settings, []).expect("right settings");
        let welcome = Welcome {
            notes: vec![origin(&config)],
            has_examples: true,
        };
        let public = listen.parse().expect("an address");
        let admin = "127.0.0.1:8081".parse().expect("an address");
        welcome.lines(&config, public, admin).await
    }

    #[tokio::test]
    async fn urls_can_be_opened_wherever_the_listener_is() {
        for (listen, host) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:9000", "[::1]:9000"),
            ("10.1.2.3:9000", "10.1.2.3:9000"),
        ] {
            let settings = "[server]\nprefixes = [\"/pictures/\", \"/cdn-cgi/image/\"]\n[zone]\norigin = \"https://b.com/x/\"\n";
            let expected = [
                format!(
                    "safelight serves pictures on http://{listen} and metrics on http://127.0.0.1:8081/metrics"
                ),
                "the pictures are on the site https://b.com/x".to_owned(),
                "open this, with the path of a picture on that site in place of cats/tom.jpg:"
                    .to_owned(),
                format!("  http://{host}/pictures/width=800,format=auto/cats/tom.jpg"),
            ];
            assert_eq!(lines(settings, listen).await, expected);
        }
    }

    #[tokio::test]
    async fn a_server_without_prefixes_has_no_examples() {
        let settings = "[server]\nprefixes = []\n[zone]\norigin = \"https://b.com\"\n";
        assert_eq!(lines(settings, "127.0.0.1:8080").await.len(), 2);
    }

    #[tokio::test]
    async fn hosted_images_are_told_of() {
        let account = "account = \"acme\"\nhash = \"h4sh\"\n";
        for (settings, told) in [
            (
                "[hosted]\nstore = \"file:/srv/images\"\n".to_owned(),
                [
                    "of the account main are kept in the folder /srv/images",
                    "at http://127.0.0.1:80/client/v4/accounts/main/images/v1",
                    "at http://127.0.0.1:80/cdn-cgi/imagedelivery/main/ID/VARIANT",
                ],
            ),
            (
                format!(
                    "[hosted]\nstore = \"bucket:p/kept\"\n{account}delivery_hosts = [\"img.test\"]\n[[bucket]]\nname = \"p\"\nbucket = \"my-photos\"\nregion = \"eu-west-1\"\n"
                ),
                [
                    "of the account acme are kept in the bucket my-photos/kept (eu-west-1)",
                    "at http://127.0.0.1:80/client/v4/accounts/acme/images/v1",
                    "at https://img.test/h4sh/ID/VARIANT",
                ],
            ),
            (
                format!(
                    "[hosted]\nstore = \"file:/srv/images\"\n{account}public_url = \"https://img.test\"\n"
                ),
                [
                    "of the account acme are kept in the folder /srv/images",
                    "at https://img.test/client/v4/accounts/acme/images/v1",
                    "at https://img.test/cdn-cgi/imagedelivery/h4sh/ID/VARIANT",
                ],
            ),
        ] {
            let lines = lines(&settings, "0.0.0.0:80").await;
            assert_eq!(lines.len(), 5, "{lines:#?}");
            for (line, told) in lines[2..].iter().zip(told) {
                assert!(line.ends_with(told), "{lines:#?}");
            }
        }
    }

    #[tokio::test]
    async fn a_bucket_is_named_with_its_place() {
        for (place, told) in [
            ("region = \"eu-west-1\"", "eu-west-1"),
            ("endpoint = \"https://s3.test\"", "https://s3.test"),
        ] {
            let settings = format!(
                "[zone]\norigin = \"bucket:p\"\n[[bucket]]\nname = \"p\"\nbucket = \"my-photos\"\n{place}\n"
            );
            let lines = lines(&settings, "127.0.0.1:8080").await;
            assert_eq!(
                lines[1],
                format!("the pictures are in the bucket my-photos ({told})")
            );
            assert!(lines[2].contains("the key of a picture"), "{lines:?}");
        }
    }
}
