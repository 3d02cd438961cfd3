//! What is done with the bytes of a fuzzer, and with the kept ones: no panic, no end of the process, and errors that are the client's.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::http::request::Parts;
use safelight::config::Config;
use safelight::error::Error;
use safelight::options::Options;
use safelight::pipeline::Pipeline;
use safelight::policy::Policy;
use safelight::request::Accept;
use safelight::transform::{Budget, Hints, Limits, Plan, Source};
use safelight::units::ByteSize;

/// All that can be said about a URL.
const SETTINGS: &str = "
[zone]
origin = 'https://origin.test/base'
[sources]
allowed = ['*.allowed.test', 'other.test/folder']
[cache.disk]
path = ''
[limits]
workers = 1
[presets]
thumb = 'width=80,height=80,fit=cover'
[[flow]]
match = ['/uploads/**', '/products/*.{jpg,png}']
options = 'format=auto,quality=80'
query = ['width', 'height', 'fit', 'dpr', 'quality', 'format']
[signatures]
required = 'unlisted'
[[signatures.key]]
id = 'k1'
secret = '0123456789abcdef0123456789abcdef'
[signatures.allowed]
widths = [80, 640]
formats = ['auto', 'webp']
";

/// A body: what is done with bytes that a fuzzer made.
type Body = fn(&[u8]);

/// All bodies, by name.
pub const ALL: [(&str, Body); 8] = [
    ("request", request),
    ("options", options),
    ("headers", headers),
    ("signature", signature),
    ("picture", picture),
    ("svg", svg),
    ("layout", layout),
    ("worker", worker),
];

static PIPELINE: LazyLock<Arc<Pipeline>> = LazyLock::new(|| {
    let config = Config::parse(SETTINGS, []).expect("right settings");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime
        .block_on(Pipeline::open(config.pipeline()))
        .expect("they fit together")
});

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let config = Config::default();
    Policy::new(&config.policy(), config.zone, Vec::new()).expect("the shipped settings are right")
});

/// What one picture may spend: so little that the fuzzer tries many.
fn limits() -> Limits {
    Limits {
        source_pixels: 300_000,
        animation_pixels: 300_000,
        render_memory: ByteSize::mib(128),
        rasterize_svg: true,
        ..Limits::default()
    }
}

/// Covers each encoder and each step between decoder and encoder.
const OPTIONS: [&str; 8] = [
    "width=48,format=png",
    "width=32,format=webp",
    "fit=cover,width=20,height=90,gravity=auto,format=jpeg",
    "trim=border,width=30,format=baseline-jpeg",
    "format=json",
    "format=avif,width=16",
    "width=90,metadata=keep,format=jpeg,anim=false",
    "width=16,blur=3,rotate=90,format=png-force",
];

/// Reads a request: the first line is its target, the others are its headers.
pub fn request(bytes: &[u8]) {
    let Some(head) = head(bytes) else { return };
    match PIPELINE.job(&head) {
        Ok(job) => {
            let again = PIPELINE.job(&head).expect("it was right before");
            assert_eq!(job.recipe.to_string(), again.recipe.to_string());
        }
        Err(error) => assert_of_client(&error),
    }
}

/// Reads options twice, without and with formats that the client takes.
pub fn options(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let Ok((parsed, _)) = Options::parse(text) else {
        return;
    };
    let all = Accept {
        avif: true,
        webp: true,
        ..Accept::default()
    };
    for accept in [Accept::default(), all] {
        match POLICY.decide(&parsed, accept) {
            Ok((recipe, _)) => {
                let (again, _) = POLICY.decide(&parsed, accept).expect("as before");
                assert_eq!(recipe.to_string(), again.to_string(), "{text}");
            }
            Err(denied) => assert_of_client(&denied.into()),
        }
    }
}

/// Reads a request with these headers.
pub fn headers(bytes: &[u8]) {
    const TARGET: &[u8] = b"/cdn-cgi/image/width=auto,format=auto,quality=80/a.jpg\n";
    request(&[TARGET, bytes].concat());
    request(&[TARGET, b"accept: ", bytes].concat());
}

/// Reads a URL with a signature that can only be wrong.
pub fn signature(bytes: &[u8]) {
    if bytes.iter().any(|byte| b",/?#%\n".contains(byte)) {
        return;
    }
    let target = [b"/cdn-cgi/image/width=81,sig=", bytes, b"/a.jpg"].concat();
    if let Some(head) = head(&target) {
        match PIPELINE.job(&head) {
            Ok(_) => panic!("{}: a forged signature", String::from_utf8_lossy(bytes)),
            Err(error) => assert_of_client(&error),
        }
    }
}

fn head(bytes: &[u8]) -> Option<Parts> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut request = Request::get(lines.next()?);
    for line in lines.take(32) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// Renders a file: its first byte says by which options.
pub fn picture(bytes: &[u8]) {
    let Some((&first, file)) = bytes.split_first() else {
        return;
    };
    made(file, OPTIONS[usize::from(first) % OPTIONS.len()]);
}

/// Cleans a drawing, and draws it.
pub fn svg(bytes: &[u8]) {
    let drawing = [b"<svg xmlns='http://www.w3.org/2000/svg' ", bytes].concat();
    made(&drawing, "anim=false");
    made(&drawing, "width=48,format=png");
}

/// Renders a file.
fn made(file: &[u8], options: &str) {
    let source = match Source::open(file.to_vec().into(), &limits()) {
        Ok(source) => source,
        Err(error) => return assert_of_client(&error.into()),
    };
    let plan = plan(&source, options).expect("known options");
    let rendered = plan.and_then(|plan| {
        let budget = Budget::until(Instant::now() + Duration::from_secs(20));
        plan.render(&budget).map_err(Error::from)
    });
    if let Err(error) = rendered {
        assert_of_client(&error);
    }
}

/// Reads what a worker process may have said. Only fuzzers see that: a test of the module itself reads random messages.
pub fn worker(bytes: &[u8]) {
    #[cfg(fuzzing)]
    safelight::worker::read_for_fuzzer(bytes);
    #[cfg(not(fuzzing))]
    let _ = bytes;
}

/// Plans a render: four bytes are the size of a source, the others are options.
pub fn layout(bytes: &[u8]) {
    let Some((size, options)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let Ok(options) = str::from_utf8(options) else {
        return;
    };
    let [a, b, c, d] = *size;
    let (width, height) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let Ok(source) = Source::open(png_header(width, height).into(), &Limits::default()) else {
        return;
    };
    match plan(&source, options) {
        Some(Ok(plan)) => assert!(plan.cost().bytes > 0, "{options}"),
        Some(Err(error)) => assert_of_client(&error),
        None => {}
    }
}

/// `None` where these are no options.
fn plan(source: &Source, options: &str) -> Option<Result<Plan, Error>> {
    let (parsed, _) = Options::parse(options).ok()?;
    let accept = Accept {
        avif: true,
        webp: true,
        ..Accept::default()
    };
    let planned = match POLICY.decide(&parsed, accept) {
        Ok((recipe, _)) => source.plan(&recipe, &Hints::default()).map_err(Error::from),
        Err(denied) => Err(denied.into()),
    };
    Some(planned)
}

/// A PNG of which there is no more than its header.
pub fn png_header(width: u16, height: u16) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    file.extend(u32::from(width).to_be_bytes());
    file.extend(u32::from(height).to_be_bytes());
    file.extend([8, 2, 0, 0, 0]);
    file.extend(crc32(&file[12..]).to_be_bytes());
    file.extend(*b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    file
}

/// The checksum of PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum: u32, _| {
            (sum >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(sum & 1))
        })
    })
}

#[track_caller]
fn assert_of_client(error: &Error) {
    let status = error.info().status;
    // 508: a URL that names itself.
    let is_of_client = status.is_client_error() || status == 508;
    assert!(is_of_client, "{status}: {error}");
}
