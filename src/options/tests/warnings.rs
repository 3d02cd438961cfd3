//! Warnings and diagnostics about options that were ignored or have no effect yet.

use super::check_error;
use crate::options::{Options, ParsedOptions, Warning};

#[test]
fn ignored_options_have_diagnostics() {
    #[track_caller]
    fn check(segment: &str, is_sound: bool, reasons: &str) {
        let parsed = ParsedOptions::parse(segment);
        assert_eq!(parsed.as_result().is_ok(), is_sound, "{segment}");
        assert_eq!(parsed.diagnostics().to_string(), reasons, "{segment}");
    }
    check("width=80,quality=75", true, "");
    check("width=80,height=", true, "option `height` is empty");
    check("width=80,W=5", true, "option `W` is unknown");
    check(
        "w=80,width=90,w=70",
        true,
        "option `width` is given twice: the last one counts; option `width` is given twice: the last one counts",
    );
    check(
        "fit=fill,q=mid",
        true,
        "option `fit` must be `squeeze`, got `fill`; option `quality` must be `medium-high`, got `mid`",
    );
    check(
        "f=jpg,g=centre",
        true,
        "option `format` must be `jpeg`, got `jpg`; option `gravity` must be `center`, got `centre`",
    );
    check(
        "sharpen=11,blur=300",
        false,
        "option `blur` must be a number from 0 to 250, got `300`; option `sharpen` must be a number from 0 to 10, got `11`",
    );
    // Lenient mode reports the first error only.
    check_error(
        "sharpen=11,blur=300",
        "option `blur` must be a number from 0 to 250, got `300`",
    );
}

#[test]
fn options_without_effect_have_warnings() {
    #[track_caller]
    fn check(segment: &str, expected: &[&str]) {
        let (options, _) = Options::parse(segment).expect(segment);
        let told: Vec<String> = options
            .unsupported_warnings()
            .iter()
            .map(Warning::to_string)
            .collect();
        let expected: Vec<String> = expected
            .iter()
            .map(|option| format!("{option} has no effect yet"))
            .collect();
        assert_eq!(told, expected, "{segment}");
    }
    check(
        "w=5,h=5,dpr=2,fit=pad,g=left,background=red,q=5,f=webp,onerror=redirect,anim=false,metadata=none,upscale=interpolate",
        &[],
    );
    check("anim=true,gravity=0.1x0.2,format=auto", &[]);
    // Neutral values
    check("zoom=0,upscale=interpolate", &[]);
    check("wbreakpoints=5;6,wmobile=5,wdesktop=5,width=5", &[]);
    check(
        "g=face,segment=foreground,upscale=generate,zoom=0.5",
        &["gravity=face", "segment", "upscale=generate", "zoom"],
    );
}

#[test]
fn a_warning_fits_between_quotes() {
    assert_eq!(
        Warning::new("say \"hi\"\r\n\\ \u{e9}").to_string(),
        "say ?hi???? ?"
    );
}
