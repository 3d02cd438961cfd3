//! The recipe for options, and the warnings and headers that go with it.

mod hints;

use super::*;
use crate::options::{FileSize, Score};

const NOTHING: Accept = Accept {
    jxl: false,
    avif: false,
    webp: false,
};
const WEBP: Accept = Accept {
    webp: true,
    ..NOTHING
};
const AVIF: Accept = Accept {
    avif: true,
    ..NOTHING
};
const BOTH: Accept = Accept {
    avif: true,
    webp: true,
    ..NOTHING
};
const EVERYTHING: Accept = Accept {
    jxl: true,
    avif: true,
    webp: true,
};

fn formats(names: &[&str]) -> Formats {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    Formats::try_from(names).expect("the table holds formats")
}

fn auto(names: &[&str]) -> Output {
    Output::Auto(formats(names))
}

fn decide(options: &str, accept: Accept) -> Result<Decision, Denial> {
    let (options, _) = Options::parse(options).expect("the table holds valid options");
    negotiate(
        &options,
        accept,
        &ClientHints::default(),
        &NegotiateConfig::default(),
    )
}

fn decided(options: &str, accept: Accept) -> Decision {
    decide(options, accept).expect(options)
}

#[track_caller]
fn check_output(options: &str, accept: Accept, output: Output, varies: bool) {
    let recipe = decided(options, accept).recipe;
    assert_eq!(recipe.output, output, "{options} {accept:?}");
    let vary = vary_of(options, &ClientHints::default());
    assert_eq!(vary, if varies { "Accept" } else { "" }, "{options}");
}

fn vary_of(options: &str, hints: &ClientHints) -> String {
    let (options, _) = Options::parse(options).expect("the table holds valid options");
    vary(&options, hints, &NegotiateConfig::default()).to_string()
}

/// The recipe for a client that gives hints.
fn hinted(options: &str, hints: ClientHints) -> Recipe {
    let (options, _) = Options::parse(options).expect("the table holds valid options");
    let decided = negotiate(&options, NOTHING, &hints, &NegotiateConfig::default());
    decided.expect("a small picture").recipe
}

#[track_caller]
fn check_box(options: &str, width: Option<u32>, height: Option<u32>, fit: Fit, warning: &str) {
    let Decision {
        recipe, warnings, ..
    } = decided(options, NOTHING);
    assert_eq!(
        (recipe.width, recipe.height, recipe.fit),
        (width, height, fit),
        "{options}"
    );
    assert_eq!(
        warnings
            .iter()
            .map(Warning::to_string)
            .collect::<Vec<_>>()
            .join("|"),
        warning,
        "{options}"
    );
}

#[test]
fn section_4_1_auto_takes_the_best_that_is_accepted() {
    check_output("format=auto", BOTH, auto(&["avif", "webp"]), true);
    check_output("format=auto", AVIF, auto(&["avif", "webp"]), true);
    check_output("format=auto", WEBP, auto(&["webp"]), true);
    check_output(
        "format=auto",
        NOTHING,
        Output::Compatible { progressive: true },
        true,
    );
}

/// The formats of a client's recipe, and those of them that it does not name.
fn chosen(accept: Accept, listed: &[&str]) -> (Output, Formats) {
    let (options, _) = Options::parse("format=auto").expect("valid");
    let config = NegotiateConfig {
        formats: formats(listed),
        ..NegotiateConfig::default()
    };
    let hints = ClientHints::default();
    let decision = negotiate(&options, accept, &hints, &config).expect("no size");
    (decision.recipe.output, decision.unnamed)
}

#[test]
fn the_settings_say_which_formats_there_are_and_their_order() {
    let listed: &[(&[&str], &[&str])] = &[
        (&["avif", "webp"], &["avif", "webp"]),
        (&["webp", "avif"], &["webp", "avif"]),
        (&["webp"], &["webp"]),
    ];
    for (settings, taken) in listed {
        assert_eq!(chosen(EVERYTHING, settings), (auto(taken), Formats::NONE));
    }
    let compatible = Output::Compatible { progressive: true };
    assert_eq!(chosen(EVERYTHING, &[]), (compatible, Formats::NONE));
    assert_eq!(chosen(WEBP, &["avif"]), (compatible, Formats::NONE));
    assert_eq!(chosen(AVIF, &["avif"]), (auto(&["avif"]), Formats::NONE));
}

#[test]
fn jpeg_xl_is_chosen_where_it_is_written() {
    let all = ["jxl", "avif", "webp"];
    let taken: &[&str] = if cfg!(feature = "native") {
        &all
    } else {
        &all[1..]
    };
    assert_eq!(chosen(EVERYTHING, &all), (auto(taken), Formats::NONE));
    let jxl = Accept {
        jxl: true,
        ..NOTHING
    };
    let expected = if cfg!(feature = "native") {
        (auto(&["jxl", "webp"]), formats(&["webp"]))
    } else {
        (Output::Compatible { progressive: true }, Formats::NONE)
    };
    assert_eq!(chosen(jxl, &all), expected);
    check_output("format=jxl", NOTHING, Output::Jxl, false);
}

#[test]
fn clients_that_get_the_same_avif_have_one_recipe() {
    let all = ["jxl", "avif", "webp"];
    let shared = auto(&["avif", "webp"]);
    assert_eq!(chosen(BOTH, &all), (shared, Formats::NONE));
    assert_eq!(chosen(AVIF, &all), (shared, formats(&["webp"])));
    // Eight kinds of clients have five recipes.
    let mut outputs = Vec::new();
    for bits in 0..8 {
        let accept = Accept {
            jxl: bits & 1 > 0,
            avif: bits & 2 > 0,
            webp: bits & 4 > 0,
        };
        let (output, _) = chosen(accept, &all);
        if !outputs.contains(&output) {
            outputs.push(output);
        }
    }
    assert_eq!(outputs.len(), if cfg!(feature = "native") { 5 } else { 3 });
}

#[test]
fn section_4_1_no_format_is_a_compatible_one() {
    check_output(
        "width=8",
        BOTH,
        Output::Compatible { progressive: true },
        false,
    );
    check_output("format=json", BOTH, Output::Json, false);
    check_output("format=svg", BOTH, Output::Svg, false);
}

#[test]
fn section_4_1_a_named_format_is_made_for_everyone() {
    for accept in [NOTHING, BOTH] {
        check_output("format=avif", accept, Output::Avif, false);
        check_output("format=webp", accept, Output::Webp, false);
        check_output(
            "format=jpeg",
            accept,
            Output::Jpeg { progressive: true },
            false,
        );
        check_output(
            "format=baseline-jpeg",
            accept,
            Output::Jpeg { progressive: false },
            false,
        );
        check_output("format=png-force", accept, Output::Png, false);
    }
}

#[test]
fn section_4_1_png_is_a_hint() {
    check_output(
        "format=png",
        BOTH,
        Output::Compatible { progressive: true },
        false,
    );
    let warnings = decided("format=png", NOTHING).warnings;
    assert_eq!(
        warnings,
        [Warning::new("JPEG vs PNG selection is automatic")]
    );
    assert_eq!(decided("format=png-force", NOTHING).warnings, []);
}

#[test]
fn section_2_6_fast_compression_overrides_the_format() {
    let fast = Output::Compatible { progressive: false };
    for format in [
        "",
        ",format=auto",
        ",format=avif",
        ",format=webp",
        ",format=jpeg",
    ] {
        check_output(&format!("compression=fast{format}"), BOTH, fast, false);
    }
    check_output("compression=fast,format=json", BOTH, Output::Json, false);
    check_output(
        "compression=fast,format=png-force",
        BOTH,
        Output::Png,
        false,
    );
}

#[test]
fn a_named_raster_format_takes_no_svg() {
    for (options, must_be_raster) in [
        ("width=8", false),
        ("format=auto", false),
        ("format=png", false),
        ("format=svg", false),
        ("format=json", false),
        ("format=webp", true),
        ("format=avif", true),
        ("format=jpeg", true),
        ("format=baseline-jpeg", true),
        ("format=png-force", true),
    ] {
        let decided = decided(options, BOTH);
        assert_eq!(decided.must_be_raster, must_be_raster, "{options}");
    }
}

#[test]
fn a_palette_needs_a_quality() {
    for (options, palette) in [
        ("format=png-force", false),
        ("format=png-force,quality=50", true),
        ("quality=50", true),
        ("format=webp,quality=50", false),
    ] {
        assert_eq!(decided(options, BOTH).recipe.palette, palette, "{options}");
    }
}

#[test]
fn what_changes_nothing_is_left_out_of_the_recipe() {
    let nothing = decided("width=8", NOTHING).recipe;
    let neutral = "blur=0.5,brightness=0,contrast=1,gamma=0,saturation=1,sharpen=0,trim=0;0;0;0,rotate=360,border.width=0";
    assert_eq!(
        decided(&format!("width=8,{neutral}"), NOTHING).recipe,
        nothing
    );
    let grey = decided("width=8,saturation=0,brightness=1", NOTHING).recipe;
    assert_eq!(grey.effects.saturation, Some(Factor::ZERO));
    assert_eq!(grey.effects.brightness, None);
}

#[test]
fn section_2_7_dpr_multiplies_trim_and_border() {
    let recipe = decided(
        "width=10,dpr=2,trim=1;0.5;3;4,border.width=5,border.left=7,border.color=red",
        NOTHING,
    )
    .recipe;
    assert_eq!(recipe.trim.to_string(), "2;0.5;6;8;none;none;none");
    let border = recipe.border.expect("a border was asked for");
    assert_eq!(border.to_string(), "#ff0000;10;10;10;14");
    let kept = decided("dpr=1.5,trim.border.keep=3", NOTHING).recipe.trim;
    assert_eq!(
        kept.to_string(),
        "none;none;none;none;none;none;border less 5"
    );
    assert_eq!(
        decided("border.top=3", NOTHING)
            .recipe
            .border
            .map(|border| border.to_string()),
        Some("#000000;3;0;0;0".to_owned())
    );
    assert!(matches!(
        decide("border.width=9000,dpr=2", NOTHING),
        Err(Denial::OutputTooLarge {
            option: "border",
            pixels: 18_000,
            ..
        })
    ));
}

#[test]
fn section_2_16_quality_is_asked_or_the_default() {
    for (options, quality) in [
        ("width=8", 85),
        ("quality=1", 1),
        ("quality=100", 100),
        ("quality=high", 90),
        ("quality=medium-high", 70),
        ("quality=medium-low", 50),
        ("quality=low", 35),
    ] {
        assert_eq!(
            decided(options, NOTHING).recipe.quality.get(),
            quality,
            "{options}"
        );
    }
    let config: NegotiateConfig = toml::from_str("quality = 60").expect("one known key");
    let (options, _) = Options::parse("width=8").expect("valid options");
    assert_eq!(
        negotiate(&options, NOTHING, &ClientHints::default(), &config)
            .expect("in range")
            .recipe
            .quality
            .get(),
        60
    );
}

#[test]
fn section_2_7_dpr_multiplies_what_is_given() {
    check_box(
        "width=100,height=51,dpr=1.5",
        Some(150),
        Some(77),
        Fit::ScaleDown,
        "",
    );
    check_box("width=200,dpr=1.15", Some(230), None, Fit::ScaleDown, "");
    check_box("width=1,dpr=0.01", Some(1), None, Fit::ScaleDown, "");
    check_box("height=4000,dpr=3", None, Some(12_000), Fit::ScaleDown, "");
    check_box("dpr=2", None, None, Fit::ScaleDown, "");
}

#[test]
fn section_4_3_sides_beyond_the_limit_are_denied() {
    for (options, option, pixels) in [
        ("width=12001", "width", 12_001),
        ("height=12001", "height", 12_001),
        ("width=4001,dpr=3", "width", 12_003),
        ("width=4294967295,dpr=3", "width", u32::MAX),
        ("width=99999999999999", "width", u32::MAX),
    ] {
        let denied = decide(options, NOTHING).expect_err(options);
        assert_eq!(
            denied,
            Denial::OutputTooLarge {
                option,
                pixels,
                limit: 12_000
            },
            "{options}"
        );
        assert_eq!(
            denied.to_string(),
            format!("option `{option}` times `dpr` must be at most 12000 pixels, got {pixels}")
        );
    }
    assert!(decide("width=12000,height=12000", NOTHING).is_ok());
}

#[test]
fn section_2_8_both_sides_keep_the_fit() {
    for &fit in Fit::ALL {
        check_box(
            &format!("width=8,height=9,fit={fit}"),
            Some(8),
            Some(9),
            fit,
            "",
        );
    }
}

#[test]
fn section_2_8_one_side_scales_by_that_side() {
    let needs = |fit: &str| format!("{fit} fit mode needs both width and height");
    check_box(
        "width=8,fit=cover",
        Some(8),
        None,
        Fit::Contain,
        &needs("cover"),
    );
    check_box(
        "height=8,fit=pad",
        None,
        Some(8),
        Fit::Contain,
        &needs("pad"),
    );
    check_box(
        "width=8,fit=squeeze",
        Some(8),
        None,
        Fit::Contain,
        &needs("squeeze"),
    );
    check_box(
        "width=8,fit=crop",
        Some(8),
        None,
        Fit::ScaleDown,
        &needs("crop"),
    );
    check_box(
        "width=8,fit=aspect-crop",
        Some(8),
        None,
        Fit::ScaleDown,
        &needs("aspect-crop"),
    );
    check_box("width=8,fit=contain", Some(8), None, Fit::Contain, "");
    check_box("width=8,fit=scale-up", Some(8), None, Fit::ScaleUp, "");
    check_box("height=8,fit=scale-down", None, Some(8), Fit::ScaleDown, "");
}

#[test]
fn section_2_8_no_side_leaves_nothing_to_fit() {
    check_box("fit=contain", None, None, Fit::ScaleDown, "");
    check_box("fit=scale-up", None, None, Fit::ScaleDown, "");
    check_box(
        "fit=cover",
        None,
        None,
        Fit::ScaleDown,
        "cover fit mode needs both width and height",
    );
}

#[test]
fn quality_targets_are_for_lossy_outputs() {
    let quality_target = |options: &str| hinted(options, ClientHints::default()).quality_target;
    for format in ["auto", "png", "jpeg", "baseline-jpeg", "webp", "avif"] {
        let options = format!("width=5,auto-quality=70,max-bytes=900,format={format}");
        let expected = QualityTarget {
            score: Score::new(70),
            size: FileSize::new(900),
        };
        assert_eq!(quality_target(&options), expected, "{format}");
    }
    for format in ["png-force", "json", "svg"] {
        let options = format!("width=5,auto-quality=70,max-bytes=900,format={format}");
        assert!(quality_target(&options).is_none(), "{format}");
    }
}

#[test]
fn section_2_12_gravity_matters_where_something_is_cut() {
    #[track_caller]
    fn check(options: &str, gravity: Gravity) {
        assert_eq!(
            decided(options, NOTHING).recipe.gravity,
            gravity,
            "{options}"
        );
    }
    check("width=8,height=8,fit=cover", Gravity::Center);
    check("width=8,height=8,fit=cover,gravity=left", Gravity::Left);
    check("width=8,height=8,fit=crop,gravity=top", Gravity::Top);
    check(
        "width=8,height=8,fit=aspect-crop,gravity=1x0.5",
        Gravity::Right,
    );
    check(
        "width=8,height=8,fit=cover,gravity=0.5x0.5",
        Gravity::Center,
    );
    check("width=8,height=8,fit=cover,gravity=auto", Gravity::Auto);
    check(
        "width=8,height=8,fit=cover,gravity=entropy",
        Gravity::Entropy,
    );
    check("width=8,gravity=auto", Gravity::Center);
    check("width=8,height=8,fit=cover,gravity=face", Gravity::Center);
    check("width=8,height=8,fit=pad,gravity=left", Gravity::Center);
    check("width=8,fit=cover,gravity=left", Gravity::Center);
    let point = decided("width=8,height=8,fit=cover,gravity=0.25x0.75", NOTHING)
        .recipe
        .gravity;
    assert_eq!(point.to_string(), "0.25x0.75");
}

#[test]
fn settings_have_ranges() {
    for text in [
        "output_side = 0",
        "output_side = -1",
        "quality = 0",
        "quality = 101",
        "look = 80",
    ] {
        toml::from_str::<NegotiateConfig>(text).expect_err(text);
    }
    assert_eq!(
        toml::from_str::<NegotiateConfig>("").expect("everything has a default"),
        NegotiateConfig::default()
    );
}
