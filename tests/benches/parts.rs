//! The parts of a request by themselves: reading options and URLs, keys, one render for each format, and a hit from end to end.
//! `make bench-parts`. Numbers that others could be compared with come from `make bench`.

use std::fmt;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use divan::Bencher;
use divan::black_box;
use hyper::HeaderMap;
use hyper::Request;
use hyper::http::request::Parts;
use safelight::cache::{
    Cache, CacheStatus, FlightError, Rendition, RenditionKey, SourceKey, SourceName, SourceRecord,
    Tier,
};
use safelight::config::Config;
use safelight::error::Error;
use safelight::freshness::{Freshness, Rules, Tags, Validators};
use safelight::options::{Format, Options, Recipe};
use safelight::pipeline::Pipeline;
use safelight::policy::{Job, Policy};
use safelight::request::{Accept, ImageRequest, Prefixes};
use safelight::source::{FetchOutcome, FetchedSource, SourceMemory};
use safelight::transform::{BatchItem, Budget, Encoded, Hints, Limits, Source, TransformError};
use tokio::runtime::Runtime;

const FEW: &str = "width=800,quality=75,format=auto";
const MANY: &str = "w=800,h=600,fit=cover,g=0.3x0.7,q=75,f=webp,dpr=2,rotate=90,sharpen=1,background=%23ff8800,trim=10;20;30;40,anim=false,metadata=none";

/// Whether many options are asked for, or the few of an everyday URL.
#[derive(Clone, Copy)]
struct Many(bool);

impl Many {
    fn text(self) -> &'static str {
        if self.0 { MANY } else { FEW }
    }
}

impl fmt::Display for Many {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0 { "many" } else { "few" })
    }
}

fn main() {
    divan::main();
}

#[divan::bench(args = [Many(false), Many(true)])]
fn options_parse(many: Many) -> Options {
    let (options, _warnings) =
        Options::parse(black_box(many.text())).expect("the options are right");
    options
}

#[divan::bench(args = [Many(false), Many(true)])]
fn options_spell(bencher: Bencher<'_, '_>, many: Many) {
    let (options, _warnings) = Options::parse(many.text()).expect("the options are right");
    bencher.bench(|| black_box(&options).to_string());
}

#[divan::bench]
fn request_parse(bencher: Bencher<'_, '_>) {
    let prefixes = Prefixes::default();
    let head = head("mountains.jpg");
    bencher.bench(|| ImageRequest::parse(black_box(&head), &prefixes));
}

#[divan::bench]
fn admit(bencher: Bencher<'_, '_>) {
    let request = ImageRequest::parse(&head("mountains.jpg"), &Prefixes::default())
        .expect("the URL is right");
    let policy = policy();
    bencher.bench(|| policy.admit(black_box(&request)));
}

#[divan::bench]
fn key(bencher: Bencher<'_, '_>) {
    let request = ImageRequest::parse(&head("mountains.jpg"), &Prefixes::default())
        .expect("the URL is right");
    let job = policy().admit(&request).expect("the zone is allowed");
    let runtime = Runtime::new().expect("threads can be started");
    let record = runtime.block_on(async {
        let mut config = safelight::cache::Config::default();
        config.disk.path = Default::default();
        let cache = Cache::open(&config, &[], None, SourceMemory::new(1 << 30, 100 << 20))
            .await
            .expect("the defaults fit together");
        record(&cache, &job).await
    });
    let render_fingerprint = Limits::default().render_fingerprint();
    bencher.bench(|| {
        let source = SourceKey::of(&job.source);
        RenditionKey::of(
            &source,
            record.state(),
            black_box(&job.recipe),
            &render_fingerprint,
        )
        .etag()
    });
}

#[divan::bench(args = ["jpeg", "webp", "avif", "png-force"], sample_count = 10)]
fn render(bencher: Bencher<'_, '_>, format: &str) {
    let source = photograph("mountains.jpg");
    let recipe = recipe(&format!("width=400,quality=75,format={format}"));
    bencher.bench(|| {
        let plan = opened(black_box(&source)).plan(&recipe, &Hints::default());
        let budget = Budget::until(Instant::now() + Duration::from_secs(60));
        plan.and_then(|plan| plan.render(&budget))
            .expect("the photograph is whole")
            .bytes
    });
}

fn opened(source: &[u8]) -> Source {
    let bytes = source.to_vec().into();
    Source::open(bytes, &Limits::default()).expect("the photograph is whole")
}

/// A dozen widths in two formats of a photograph of six million pixels, decoded once for all of them, or for each.
#[divan::bench(args = ["together", "one by one"], sample_count = 5, sample_size = 1)]
fn many_widths(bencher: Bencher<'_, '_>, how: &str) {
    const WIDTHS: [u32; 12] = [
        96, 160, 240, 320, 480, 640, 828, 1080, 1200, 1600, 1920, 2560,
    ];
    let source = photograph("dogs.jpg");
    let items: Vec<BatchItem> = WIDTHS
        .into_iter()
        .flat_map(|width| ["webp", "jpeg"].map(|format| (width, format)))
        .map(|(width, format)| BatchItem {
            recipe: recipe(&format!("width={width},quality=75,format={format}")),
            hints: Hints::default(),
        })
        .collect();
    bencher.bench(|| {
        let budget = Budget::until(Instant::now() + Duration::from_secs(600));
        let source = opened(&source);
        let mut bytes = 0;
        let mut count = |made: Result<Encoded, TransformError>| {
            bytes += made.expect("the photograph is whole").bytes.len();
        };
        if how == "together" {
            let plan = source.plan_batch(items.clone(), u64::MAX);
            plan.render(&budget, |_, made| {
                count(made);
                ControlFlow::Continue(())
            });
        } else {
            for BatchItem { recipe, hints } in &items {
                let plan = source.plan(recipe, hints);
                count(plan.and_then(|plan| plan.render(&budget)));
            }
        }
        bytes
    });
}

#[divan::bench]
fn hit_in_memory(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().expect("threads can be started");
    let pipeline = runtime.block_on(pipeline());
    let head = head("mountains.jpg");
    let status = runtime.block_on(pipeline.respond(&head, None)).status();
    assert!(status.is_success(), "the first answer was {status}");
    bencher.bench(|| runtime.block_on(pipeline.respond(black_box(&head), None)));
}

/// A rendition of 40 kB, from a folder that the system has in memory. Beside it, what reading such a file costs by itself.
#[divan::bench]
fn hit_on_disk(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().expect("threads can be started");
    let place = tempfile::tempdir().expect("a place for temporary files");
    let request = ImageRequest::parse(&head("mountains.jpg"), &Prefixes::default())
        .expect("the URL is right");
    let job = policy().admit(&request).expect("the zone is allowed");
    let mut config = safelight::cache::Config::default();
    config.disk.path = place.path().to_owned();
    config.memory.renditions = "0".parse().expect("a size");
    let (cache, key) = runtime.block_on(async {
        let cache = Cache::open(&config, &[], None, SourceMemory::new(1 << 30, 100 << 20))
            .await
            .expect("the defaults fit together");
        let (source, record) = (SourceKey::of(&job.source), record(&cache, &job).await);
        let key = RenditionKey::of(
            &source,
            record.state(),
            &job.recipe,
            &Limits::default().render_fingerprint(),
        );
        let rendition = Rendition::new(&key, vec![7; 40_000], Format::Webp, (1, 1), Vec::new());
        let render = async move { Ok::<_, FlightError<Error>>(rendition) };
        let rendered = cache.get_or_render(key, true, render).await;
        rendered.expect("it is there already");
        cache.flush().await;
        (cache, key)
    });
    bencher.bench(|| {
        let found = runtime.block_on(cache.find(black_box(key)));
        let found = found.expect("it was written");
        assert_eq!(found.outcome, CacheStatus::Hit(Tier::Disk));
        found
    });
}

#[divan::bench]
fn file_of_the_same_size(bencher: Bencher<'_, '_>) {
    let place = tempfile::tempdir().expect("a place for temporary files");
    let path = place.path().join("file");
    fs::write(&path, [7; 40_000]).expect("a folder of ours");
    bencher.bench(|| fs::read(black_box(&path)));
}

/// What the cache knows of a source that it has seen.
async fn record(cache: &Arc<Cache>, job: &Job) -> Arc<SourceRecord> {
    let fetch = |_| async {
        let headers = HeaderMap::new();
        Ok::<_, Error>(FetchOutcome::Fetched(FetchedSource {
            bytes: Bytes::from_static(b"a picture"),
            validators: Validators::of(&headers),
            freshness: Freshness::of(&headers, SystemTime::now(), &Rules::default()),
            tags: Tags::default(),
        }))
    };
    let name = SourceName::of(&job.source);
    let found = cache.get_or_fetch(&name, fetch).await;
    found.expect("it is there already").record
}

fn photograph(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/photos")
        .join(name);
    fs::read(path).expect("the photographs are part of the repository")
}

fn head(source: &str) -> Parts {
    let request = Request::get(format!("/cdn-cgi/image/{FEW}/{source}"))
        .header("host", "img.example.com")
        .header("accept", "image/webp,*/*")
        .body(())
        .expect("the request is well formed");
    request.into_parts().0
}

fn policy() -> Policy {
    let config = Config::default();
    Policy::new(&config.policy(), config.zone.clone(), Vec::new())
        .expect("the defaults fit together")
}

fn recipe(options: &str) -> Recipe {
    let (options, _warnings) = Options::parse(options).expect("the options are right");
    let accept = Accept {
        avif: true,
        webp: true,
        ..Accept::default()
    };
    let (recipe, _warnings) = policy()
        .decide(&options, accept)
        .expect("the options ask for a picture");
    recipe
}

async fn pipeline() -> Arc<Pipeline> {
    let mut config = Config::default();
    config.cache.disk.path = Default::default();
    Pipeline::open(config.pipeline())
        .await
        .expect("the defaults fit together")
}
