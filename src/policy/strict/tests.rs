//! What strict mode reports, and for which URLs it reports nothing.

use super::*;
use crate::policy::config::NegotiateConfig;
use crate::policy::negotiate::negotiate;
use crate::request::{Accept, ClientHints};

#[track_caller]
fn check(segment: &str, expected: &[&str]) {
    let asked = ParsedOptions::parse(segment);
    let (accept, hints) = (Accept::default(), ClientHints::default());
    let decision = asked
        .as_result()
        .map_err(|error| Denial::Options(error.clone()))
        .and_then(|options| negotiate(options, accept, &hints, &NegotiateConfig::default()));
    let diagnostics = diagnostics(&asked, decision.as_ref()).to_string();
    assert_eq!(diagnostics, expected.join("; "), "{segment}");
}

#[test]
fn good_urls_have_no_diagnostics() {
    for segment in [
        "width=640,quality=75,format=auto",
        "w=200,h=100,f=webp,fit=cover,gravity=0.5x0.3",
        "width=300,height=200,fit=squeeze,onerror=redirect,metadata=none,anim=false",
        "width=auto,wbreakpoints=320;640,wmobile=300,wdesktop=900,dpr=2",
        "dpr=2,trim=20;30;20;0",
        "dpr=2,border.width=5,border.color=red",
        "dpr=1,blur=0,sharpen=0,zoom=0,upscale=interpolate,w=5",
        "width=5,quality=high,scq=low",
        "saturation=0,brightness=1.2",
        "format=json,anim=false",
        "width=5,compression=fast",
        "width=5,auto-quality=70,max-bytes=900",
        "width=5,quality=70,max-bytes=900",
    ] {
        check(segment, &[]);
    }
}

#[test]
fn section_1_2_what_is_ignored_is_reported() {
    check("w=5,bogus=1", &["option `bogus` is unknown"]);
    check("w=5,draw=1", &["option `draw` is unknown"]);
    check("w=5,Height=5", &["option `Height` is unknown"]);
    check("w=5,=5", &["option `` is unknown"]);
    check("w=5,height=", &["option `height` is empty"]);
    check("w=5,", &["there is nothing between two commas"]);
    check(
        "w=5,width=6",
        &["option `width` is given twice: the last one counts"],
    );
    check(
        "w=5,h=abc",
        &["height must be a number of pixels, at least 1, got abc: ignored"],
    );
    check(
        "w=5,fit=inside",
        &[
            "fit must be scale-down, contain, cover, crop, aspect-crop, pad, squeeze or scale-up, got inside: ignored",
        ],
    );
    check("w=5,dpr=9", &["dpr > 3 should never be used"]);
}

#[test]
fn errors_come_first_and_all_are_reported() {
    check(
        "blur=300,fast,w=5,sharpen=11,x=1,h=",
        &[
            "options must be pairs as in `width=640`, got `fast`",
            "option `x` is unknown",
            "option `height` is empty",
            "option `blur` must be a number from 0 to 250, got `300`",
            "option `sharpen` must be a number from 0 to 10, got `11`",
        ],
    );
    check("w=%zz", &["options must be percent-encoded UTF-8"]);
    check(
        "height=",
        &[
            "at least one option is needed, as in `width=640`",
            "option `height` is empty",
        ],
    );
    // Too large is too large in any mode; beside other diagnostics it is one of them.
    check("w=12001", &[]);
    check(
        "w=12001,x=1",
        &[
            "option `x` is unknown",
            "option `width` times `dpr` must be at most 12000 pixels, got 12001",
        ],
    );
}

#[test]
fn options_without_effect_are_reported() {
    let gravity = "option `gravity` counts only where fit is cover, crop or aspect-crop and there are width and height";
    check("w=5,gravity=left", &[gravity]);
    check("w=5,h=5,fit=pad,gravity=left", &[gravity]);
    check(
        "w=5,fit=cover,gravity=left",
        &["cover fit mode needs both width and height", gravity],
    );
    check(
        "f=webp,fit=contain",
        &["option `fit` counts only with width or height"],
    );
    check(
        "f=webp,fit=pad",
        &["pad fit mode needs both width and height"],
    );
    check("f=webp,dpr=2", &["option `dpr` has nothing to multiply"]);
    check(
        "dpr=2,trim.top=0.5",
        &["option `dpr` has nothing to multiply"],
    );
    check(
        "w=5,wbreakpoints=5;6,wmobile=5,wdesktop=5",
        &[
            "option `wbreakpoints` counts only with width=auto",
            "option `wdesktop` counts only with width=auto",
            "option `wmobile` counts only with width=auto",
        ],
    );
    check(
        "w=5,f=json,q=5,compression=fast",
        &[
            "option `quality` counts only where a picture is encoded",
            "option `compression` does not count with this format",
        ],
    );
    check(
        "w=5,f=webp,quality=5,auto-quality=70",
        &["option `quality` does not count with auto-quality"],
    );
    check(
        "w=5,f=png-force,max-bytes=900",
        &["options `auto-quality` and `max-bytes` count only with JPEG, WebP and AVIF"],
    );
    check(
        "w=5,f=webp,compression=fast",
        &["option `format` does not count with compression=fast"],
    );
    check(
        "brightness=0,contrast=0,blur=0.5,border.color=red",
        &[
            "brightness=0 changes nothing",
            "contrast=0 changes nothing",
            "option `blur` changes nothing below 1",
            "option `border.color` counts only with a width",
        ],
    );
    check("w=5,f=png", &["JPEG vs PNG selection is automatic"]);
}

#[test]
fn the_text_is_bounded() {
    for segment in [
        "unknown-and-rather-long-name-of-an-option=1,".repeat(10_000),
        "no-pair-at-all,".repeat(10_000),
        ",".repeat(10_000),
        "w=1,".repeat(10_000),
    ] {
        let diagnostics = ParsedOptions::parse(&segment).diagnostics().to_string();
        assert!(diagnostics.len() < 3000, "{}", diagnostics.len());
        assert!(diagnostics.ends_with(" more"), "{diagnostics}");
    }
}
