use std::time::Duration;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::select;

use super::OptionError;
use super::Options;
use super::Reading;
use super::Warning;
use super::any::any_options;
use super::grammar::Key;

/// What `segment` means, by its canonical spelling and the number of its warnings.
#[track_caller]
fn check_warned(segment: &str, canonical: &str, warnings: usize) {
    let (options, given) = Options::parse(segment).expect(segment);
    assert_eq!(options.to_string(), canonical, "{segment}");
    assert_eq!(given.len(), warnings, "{segment}: {given:?}");
}

#[track_caller]
fn check(segment: &str, canonical: &str) {
    check_warned(segment, canonical, 0);
}

#[track_caller]
fn check_error(segment: &str, text: &str) {
    let error = Options::parse(segment).expect_err(segment);
    assert_eq!(error.to_string(), text, "{segment}");
}

#[track_caller]
fn check_warning(segment: &str, text: &str) {
    let (_, warnings) = Options::parse(segment).expect(segment);
    let texts: Vec<String> = warnings.iter().map(Warning::to_string).collect();
    assert_eq!(texts, [text], "{segment}");
}

proptest! {
    #[test]
    fn canonical_spelling_round_trips(options in any_options()) {
        let spelling = options.to_string();
        prop_assert_eq!(spelling.parse::<Options>().expect(&spelling), options);
    }

    #[test]
    fn canonical_spelling_needs_no_warning_and_no_escape(options in any_options()) {
        let spelling = options.to_string();
        prop_assert!(spelling.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=,.;-%".contains(&byte)), "{spelling}");
        if !spelling.is_empty() {
            prop_assert_eq!(Options::parse(&spelling).expect(&spelling).1, vec![]);
        }
    }

    #[test]
    fn any_text_is_refused_or_has_a_canonical_spelling(text in any::<String>()) {
        check_canonical(&text)?;
    }

    #[test]
    fn near_misses_are_refused_or_have_a_canonical_spelling(text in near_miss()) {
        check_canonical(&text)?;
    }

    #[test]
    fn canonical_spelling_with_one_byte_changed(options in any_options(), place in any::<usize>(), byte in 0..128_u8) {
        let mut bytes = options.to_string().into_bytes();
        if let Some(place) = place.checked_rem(bytes.len()) {
            bytes[place] = byte;
        }
        check_canonical(&String::from_utf8(bytes).expect("one ASCII character took another's place"))?;
    }
}

/// What is accepted prints a spelling that means the same; what is not is refused in words fit for a client.
fn check_canonical(text: &str) -> Result<(), proptest::test_runner::TestCaseError> {
    let is_printable = |text: &str| text.chars().all(|character| matches!(character, ' '..='~'));
    match Options::parse(text) {
        Ok((options, warnings)) => {
            for warning in warnings {
                let warning = warning.to_string();
                prop_assert!(
                    is_printable(&warning) && !warning.contains(['"', '\\']),
                    "{warning}"
                );
            }
            prop_assert_eq!(options.to_string().parse::<Options>().expect(text), options);
        }
        Err(error) => prop_assert!(is_printable(&error.to_string()), "{error}"),
    }
    Ok(())
}

/// Segments that are nearly right: real names, odd values, odd glue.
fn near_miss() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => select(Key::ALL).prop_map(|key| key.to_string()),
        2 => select(vec!["w", "h", "q", "f", "g", "scq", "face-zoom", "trim.border", "border", "W", ""]).prop_map(String::from),
        1 => "[a-z.-]{0,12}",
    ];
    let odd = vec![
        "",
        "0",
        "1",
        "-1",
        "100",
        "101",
        "255",
        "256",
        "0.5",
        ".5",
        "5.",
        "1e3",
        "1e-7",
        "1e999",
        "nan",
        "inf",
        "4294967296",
        "0.9999999",
        "0.0000001",
        "0.5x0.5",
        "1x0",
        "1.1x0",
        "x",
        "1;2;3;4",
        "0.1;0.2;0.3;0.4",
        "1;2",
        ";;;",
        "320;768",
        "border",
        "auto",
        "true",
        "red",
        "%23fff",
        "#12345678",
        "rgb(1,2,3)",
        "rgb%281%2C2%2C3%29",
        "rgb(1+2+3)",
        "rgb(",
        ")",
        "%00",
        "%ff",
        "%",
        "%2",
        "jpeg",
        "mp4",
        "cover",
        "h",
        "90",
        "high",
        "mid",
        "keep",
        "redirect",
        "=",
        "a=b",
        " 5 ",
        "\u{e9}",
        "\"",
    ];
    let value = prop_oneof![4 => select(odd).prop_map(String::from), 1 => "\\PC{0,8}", 1 => "-?[0-9]{0,12}(\\.[0-9]{0,9})?"];
    let glue = prop_oneof![6 => Just(","), 1 => Just("%2C"), 1 => Just(",,"), 1 => Just(" , ")];
    let pieces = vec((name, value, glue), 0..12);
    pieces.prop_map(|pieces| {
        pieces
            .into_iter()
            .map(|(name, value, glue)| format!("{name}={value}{glue}"))
            .collect()
    })
}

#[test]
fn section_11_urls_of_generators() {
    // The documentation's own loader for Next.js, and awes-io/resize
    check("width=640,quality=75", "quality=75,width=640");
    check("w=640,q=75", "quality=75,width=640");
    // Next.js documentation, OpenNext
    check(
        "width=640,quality=75,format=auto",
        "format=auto,quality=75,width=640",
    );
    // Nuxt Image
    check(
        "w=200,h=200,fit=contain,f=jpeg",
        "fit=contain,format=jpeg,height=200,width=200",
    );
    check("h=300,fit=contain", "fit=contain,height=300");
    check(
        "w=200,h=200,fit=pad,background=%23ff0000,sharpen=0.5,dpr=2",
        "background=%23ff0000,dpr=2,fit=pad,height=200,sharpen=0.5,width=200",
    );
    check_warned("w=200,g=side", "width=200", 1);
    // unpic
    check(
        "width=200,height=100,f=webp,fit=cover",
        "fit=cover,format=webp,height=100,width=200",
    );
    check(
        "w=256,h=256,f=webp,fit=cover",
        "fit=cover,format=webp,height=256,width=256",
    );
    check("f=auto,fit=cover", "fit=cover,format=auto");
    // Astro, with the words of its own that it passes through
    check(
        "onerror=redirect,width=300,height=200,quality=80,fit=cover,format=webp",
        "fit=cover,format=webp,height=200,onerror=redirect,quality=80,width=300",
    );
    check(
        "onerror=redirect,width=300,quality=mid,fit=fill,format=jpg",
        "fit=squeeze,format=jpeg,onerror=redirect,quality=medium-high,width=300",
    );
    check("width=300,quality=max", "quality=high,width=300");
    check("width=300,quality=high", "quality=high,width=300");
    check_warned("width=300,fit=none", "width=300", 1);
    check_warned("width=300,fit=inside", "width=300", 1);
    check_warned("width=300,fit=outside", "width=300", 1);
    // Angular
    check("format=auto,width=640", "format=auto,width=640");
    // WordPress
    check(
        "width=80,height=80,fit=crop,quality=80,format=auto,onerror=redirect,metadata=none",
        "fit=crop,format=auto,height=80,metadata=none,onerror=redirect,quality=80,width=80",
    );
    // PictureRenderer
    check(
        "width=300,format=auto,fit=crop,height=300,gravity=0.5x0.321",
        "fit=crop,format=auto,gravity=0.5x0.321,height=300,width=300",
    );
    // Laravel, as far as the browser sends it
    check(
        "trim=border,trim.border.color=%23ffffff,trim.border.tolerance=10",
        "trim=border,trim.border.color=%23ffffff,trim.border.tolerance=10",
    );
    // Generic mappers that encode every value
    check(
        "trim=20%3B30%3B20%3B0,background=%23fff,gravity=0.5x0.5",
        "background=%23ffffff,gravity=0.5x0.5,trim.bottom=20,trim.left=0,trim.right=30,trim.top=20",
    );
    // dev.to
    check(
        "width=800%2Cheight=%2Cfit=scale-down%2Cgravity=auto%2Cformat=auto",
        "fit=scale-down,format=auto,gravity=auto,width=800",
    );
    check(
        "width=90,height=90,fit=cover,gravity=auto,format=auto",
        "fit=cover,format=auto,gravity=auto,height=90,width=90",
    );
    // The documentation's own site
    check(
        "onerror=redirect,width=1363,height=904,format=webp",
        "format=webp,height=904,onerror=redirect,width=1363",
    );
    // Written by hand
    check(
        "f=webp,fit=scale-up,width=500,upscale=generate,q=55,onerror=redirect",
        "fit=scale-up,format=webp,onerror=redirect,quality=55,upscale=generate,width=500",
    );
    check("format=json,anim=false", "anim=false,format=json");
    check(
        "width=360,sharpen=1,compression=fast",
        "compression=fast,sharpen=1,width=360",
    );
}

#[test]
fn section_1_2_encoding() {
    check("width%3D80", "width=80");
    check("width=%38%30", "width=80");
    // Decoded once only: what remains is the text `%2C`.
    check_warned("width=80%252Cheight=90", "", 1);
    for broken in [
        "width=80%",
        "width=80%2",
        "width=80%zz",
        "width=80%+1",
        "width=80%%32",
        "width=80%2\u{e9}",
        "width=%ff",
        "w=%c3%28",
    ] {
        check_error(broken, "options must be percent-encoded UTF-8");
    }
    check_warned("width=8%000,height=5", "height=5", 1);
    check_warned("width=8\0,height=5%0A", "height=5", 1);
}

#[test]
fn section_1_2_pieces() {
    check("width=80,,quality=75,", "quality=75,width=80");
    check(" width = 80 ,%20quality=75%20", "quality=75,width=80");
    check("height=,width=80", "width=80");
    check("width=80,width=", "width=80");
    check(
        "unknown=1,border=2,draw=3,origin-auth=share-publicly,width=80",
        "width=80",
    );
    check("width=80,width=90", "width=90");
    check("w=80,width=90", "width=90");
    check("width=90,w=80", "width=80");
    // What a duplicate replaces does not count, not even as an error.
    check("blur=300,blur=5", "blur=5");
    check_error(
        "blur=5,blur=300",
        "option `blur` must be a number from 0 to 250, got `300`",
    );
    check_error(
        "width=80,fast",
        "options must be pairs as in `width=640`, got `fast`",
    );
    check_error(
        "fast",
        "options must be pairs as in `width=640`, got `fast`",
    );
    for nothing in [
        "",
        ",",
        ",,,",
        "height=",
        "unknown=1",
        "=5",
        "Width=80",
        "%20",
    ] {
        check_error(nothing, "at least one option is needed, as in `width=640`");
    }
}

#[test]
fn section_1_2_parentheses_hold_commas() {
    check(
        "background=rgb%28240%2C40%2C145%29,width=80",
        "background=%23f02891,width=80",
    );
    check(
        "background=rgb(240,40,145),width=80",
        "background=%23f02891,width=80",
    );
    check(
        "width=80,background=rgba(240,40,145,0)",
        "background=%23f0289100,width=80",
    );
    // Never closed: the rest belongs to a colour that is none.
    check_warned("height=9,background=rgb(240,40,width=80", "height=9", 1);
    // Closed too often: harmless.
    check_warned("background=red)),width=80", "width=80", 1);
}

#[test]
fn section_1_2_numbers() {
    check_warned("width=abc,onerror=redirect", "onerror=redirect", 1);
    check_warned("width=abc", "", 1);
    check_warned("width=80px", "", 1);
    check_warned("blur=5=6", "", 1);
    check_warned("blur=inf,sharpen=nan,gamma=infinity", "", 3);
    check_warned("blur=0x10", "", 1);
    check_warning(
        "width=abc,onerror=redirect",
        "width must be a number of pixels, at least 1, or auto, got abc: ignored",
    );
    check_warning(
        "q=a%22b%5C%00c,h=1",
        "quality must be a number from 1 to 100, high, medium-high, medium-low or low, got a?b??c: ignored",
    );
    check_warning(
        "fit=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeee",
        "fit must be scale-down, contain, cover, crop, aspect-crop, pad, squeeze or scale-up, got aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd...: ignored",
    );
    check_error(
        "blur=300",
        "option `blur` must be a number from 0 to 250, got `300`",
    );
    check_error(
        "blur=-1",
        "option `blur` must be a number from 0 to 250, got `-1`",
    );
    check_error(
        "blur=1e999",
        "option `blur` must be a number from 0 to 250, got `1e999`",
    );
    check_error(
        "sharpen=10.1",
        "option `sharpen` must be a number from 0 to 10, got `10.1`",
    );
    check_error(
        "brightness=256",
        "option `brightness` must be a number from 0 to 255, got `256`",
    );
    check_error(
        "contrast=255.1",
        "option `contrast` must be a number from 0 to 255, got `255.1`",
    );
    check_error(
        "saturation=-0.5",
        "option `saturation` must be a number from 0 to 255, got `-0.5`",
    );
    check_error(
        "gamma=256",
        "option `gamma` must be a number from 0 to 255, got `256`",
    );
    check_error(
        "zoom=1.5",
        "option `zoom` must be a number from 0 to 1, got `1.5`",
    );
    check_error(
        "rotate=45",
        "option `rotate` must be 0, 90, 180 or 270, got `45`",
    );
    check(
        "brightness=255,contrast=0,saturation=.5,gamma=2.20,sharpen=10,blur=250",
        "blur=250,brightness=255,contrast=0,gamma=2.2,saturation=0.5,sharpen=10",
    );
    check("sharpen=0.12345678", "sharpen=0.123457");
}

#[test]
fn section_1_2_formats_we_do_not_make() {
    check_error("format=mp4", "'mp4' is not a supported output format");
    check_error("f=gif,w=1", "'gif' is not a supported output format");
    check("format=png-force", "format=png-force");
    check("f=baseline-jpeg", "format=baseline-jpeg");
}

#[test]
fn section_2_7_dpr() {
    check("dpr=2.625", "dpr=2.625");
    check("dpr=3", "dpr=3");
    check_warned("dpr=3.5", "dpr=3", 1);
    check_warning("dpr=300,w=5", "dpr > 3 should never be used");
    check_warned("dpr=1e999", "dpr=3", 1);
    check_warning(
        "dpr=0,w=5",
        "dpr must be a number from 0.01 to 3, got 0: ignored",
    );
    check_warned("dpr=-1,w=5", "width=5", 1);
    check_warned("dpr=2x,w=5", "width=5", 1);
}

#[test]
fn section_2_8_to_2_12_words_and_points() {
    for fit in [
        "scale-down",
        "contain",
        "cover",
        "crop",
        "aspect-crop",
        "pad",
        "squeeze",
        "scale-up",
    ] {
        check(&format!("fit={fit}"), &format!("fit={fit}"));
    }
    for gravity in [
        "auto",
        "face",
        "entropy",
        "center",
        "left",
        "right",
        "top",
        "bottom",
        "0x1",
        "0.333333x0.5",
    ] {
        check(&format!("g={gravity}"), &format!("gravity={gravity}"));
    }
    check("gravity=centre", "gravity=center");
    check("gravity=1.0x0", "gravity=1x0");
    check("gravity=0.3333333333x5.55e-17", "gravity=0.333333x0");
    check_error(
        "gravity=2x0.5",
        "option `gravity` must be two numbers from 0 to 1 as in 0.5x0.5, got `2x0.5`",
    );
    check_error(
        "gravity=0.5x-0.1",
        "option `gravity` must be two numbers from 0 to 1 as in 0.5x0.5, got `0.5x-0.1`",
    );
    for ignored in ["0.5X0.5", "0.5", "x", "0.5x", "0.5x0.5x0.5", "LEFT", "side"] {
        check_warned(&format!("gravity={ignored}"), "", 1);
    }
    for flip in ["h", "v", "hv"] {
        check(&format!("flip={flip}"), &format!("flip={flip}"));
    }
    check_warned(
        "flip=x,compression=slow,segment=sky,upscale=magic,metadata=all,onerror=explode,anim=1",
        "",
        7,
    );
    check("rotate=360", "rotate=0");
    check("rotate=90.0", "rotate=90");
}

#[test]
fn section_2_13_sides() {
    check("width=400.5,height=1350.4", "height=1350,width=401");
    check("width=1e3", "width=1000");
    check("height=99999999999999999999", "height=4294967295");
    for ignored in ["0", "-0", "-5", "0.4", "-1e999", "auto "] {
        check_warned(&format!("height={ignored},fit=pad"), "fit=pad", 1);
    }
    check_warned("width=0", "", 1);
}

#[test]
fn section_2_16_quality() {
    check("quality=1", "quality=1");
    check("q=100", "quality=100");
    check("q=79.6", "quality=80");
    check("scq=50", "slow-connection-quality=50");
    check("slow-connection-quality=low", "slow-connection-quality=low");
    for word in ["high", "medium-high", "medium-low", "low"] {
        check(&format!("q={word}"), &format!("quality={word}"));
    }
    check_error(
        "quality=0",
        "option `quality` must be a whole number from 1 to 100, got `0`",
    );
    check_error(
        "quality=101",
        "option `quality` must be a whole number from 1 to 100, got `101`",
    );
    check_error(
        "quality=-5",
        "option `quality` must be a whole number from 1 to 100, got `-5`",
    );
    check_error(
        "scq=1e9",
        "option `slow-connection-quality` must be a whole number from 1 to 100, got `1e9`",
    );
    check_warned("quality=best", "", 1);
}

#[test]
fn section_2_20_trim() {
    check(
        "trim=10;20;30;40",
        "trim.bottom=30,trim.left=40,trim.right=20,trim.top=10",
    );
    check(
        "trim=0.1;0.2;0.1;0.2",
        "trim.bottom=0.1,trim.left=0.2,trim.right=0.2,trim.top=0.1",
    );
    check("trim.top=0.25,trim.left=1", "trim.left=1,trim.top=0.25");
    check(
        "trim.top=1.0,trim.left=0.0,trim.right=1.6",
        "trim.left=0,trim.right=2,trim.top=1",
    );
    check(
        "trim.width=300,trim.height=0.5",
        "trim.height=0.5,trim.width=300",
    );
    check("trim.top=0.99999999", "trim.top=0.999999");
    // A named side wins over the four at once, in either order.
    check(
        "trim.top=9,trim=1;2;3;4",
        "trim.bottom=3,trim.left=4,trim.right=2,trim.top=9",
    );
    check_warned(
        "trim=1;2;3;4,trim.top=x",
        "trim.bottom=3,trim.left=4,trim.right=2,trim.top=1",
        1,
    );
    check("trim=border", "trim=border");
    // Any of the three switches it on.
    check("trim.border.keep=5", "trim=border,trim.border.keep=5");
    check(
        "trim.border.tolerance=5",
        "trim=border,trim.border.tolerance=5",
    );
    check(
        "trim.border.color=rgb(1+2+3)",
        "trim=border,trim.border.color=%23010203",
    );
    check_warned("trim.border.color=nope", "", 1);
    for ignored in ["20", "1;2;3", "1;2;3;4;5", "1;2;;4", "a;b;c;d", "borders"] {
        check_warned(&format!("trim={ignored}"), "", 1);
    }
    check_error(
        "trim.top=-1",
        "option `trim.top` must be a number of pixels, or a number below 1 for a part of the side, got `-1`",
    );
    check_error(
        "trim=1;2;-3;4",
        "option `trim` must be a number of pixels, or a number below 1 for a part of the side, got `1;2;-3;4`",
    );
    check_error(
        "trim.border.tolerance=256",
        "option `trim.border.tolerance` must be a whole number from 0 to 255, got `256`",
    );
    check_error(
        "trim.border.keep=-1",
        "option `trim.border.keep` must be a whole number of pixels, at least 0, got `-1`",
    );
}

#[test]
fn section_2_22_width_auto() {
    check(
        "width=auto,wbreakpoints=960;320;768;320",
        "wbreakpoints=320;768;960,width=auto",
    );
    check(
        "w=auto,wmobile=700,wdesktop=1400",
        "wdesktop=1400,width=auto,wmobile=700",
    );
    check_warned("wbreakpoints=320;wide", "", 1);
    check_warned("wbreakpoints=320;0", "", 1);
    check_warned("wbreakpoints=;;", "", 1);
    check_error(
        &format!("wbreakpoints={}", "1;".repeat(65)),
        "option `wbreakpoints` must be a list of at most 64 widths, got `1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;...`",
    );
}

#[test]
fn section_2_0_names_and_aliases() {
    for (alias, name, value) in [
        ("f", "format", "webp"),
        ("g", "gravity", "left"),
        ("h", "height", "5"),
        ("q", "quality", "50"),
        ("w", "width", "5"),
        ("scq", "slow-connection-quality", "50"),
        ("face-zoom", "zoom", "0.5"),
    ] {
        let canonical = format!("{name}={value}");
        check(&canonical, &canonical);
        check(&format!("{alias}={value}"), &canonical);
    }
    // There is no alias for these, and what Workers alone know is unknown.
    for other in [
        "b=5",
        "d=2",
        "t=border",
        "fi=cover",
        "draw=1",
        "origin-auth=share-publicly",
    ] {
        check(&format!("{other},width=5"), "width=5");
    }
}

#[test]
fn section_2_1_to_2_6_stills_and_colours() {
    check("anim=false", "anim=false");
    check("anim=true", "anim=true");
    check_warned("anim=no", "", 1);
    check("background=%23F00", "background=%23ff0000");
    check("background=rgb(255+255+0)", "background=%23ffff00");
    check("background=hsl(120,100%25,50%25)", "background=%2300ff00");
    check(
        "background=rgba(240%2C40%2C145%2C0)",
        "background=%23f0289100",
    );
    check_warned("background=nope", "", 1);
    check("blur=0", "blur=0");
    check("blur=0.5", "blur=0.5");
    check("blur=250", "blur=250");
    // Ours: Cloudflare knows borders in Workers only.
    check(
        "border.color=red,border.width=5,border.top=1,border.left=0",
        "border.color=%23ff0000,border.left=0,border.top=1,border.width=5",
    );
    check_warned("border.width=thick", "", 1);
    check_error(
        "border.top=-1",
        "option `border.top` must be a whole number of pixels, at least 0, got `-1`",
    );
    for option in ["brightness", "contrast", "saturation"] {
        for value in ["0", "0.5", "1", "2", "255"] {
            check(&format!("{option}={value}"), &format!("{option}={value}"));
        }
        check_warned(&format!("{option}=bright"), "", 1);
    }
    check("compression=fast", "compression=fast");
    check_warned("compression=slow", "", 1);
}

#[test]
fn section_2_11_to_2_19_tones_and_words() {
    for value in ["0", "0.5", "1", "2.2"] {
        check(&format!("gamma={value}"), &format!("gamma={value}"));
    }
    for value in ["copyright", "keep", "none"] {
        check(&format!("metadata={value}"), &format!("metadata={value}"));
    }
    check("onerror=redirect", "onerror=redirect");
    for degrees in ["0", "90", "180", "270"] {
        check(&format!("rotate={degrees}"), &format!("rotate={degrees}"));
    }
    check_error(
        "rotate=-90",
        "option `rotate` must be 0, 90, 180 or 270, got `-90`",
    );
    check("segment=foreground", "segment=foreground");
    check("sharpen=1,zoom=0.5", "sharpen=1,zoom=0.5");
    check_error(
        "sharpen=11",
        "option `sharpen` must be a number from 0 to 10, got `11`",
    );
}

#[test]
fn section_2_21_upscale() {
    check("upscale=interpolate", "upscale=interpolate");
    check("upscale=generate", "upscale=generate");
    check_warned("upscale=magic", "", 1);
}

#[test]
fn section_2_23_slow_connections() {
    check("scq=50,q=80", "quality=80,slow-connection-quality=50");
    check("scq=mid", "slow-connection-quality=medium-high");
    check_warned("scq=best", "", 1);
    check_error(
        "slow-connection-quality=0",
        "option `slow-connection-quality` must be a whole number from 1 to 100, got `0`",
    );
}

#[test]
fn quality_may_be_searched_for() {
    check(
        "max-bytes=20000,auto-quality=70",
        "auto-quality=70,max-bytes=20000",
    );
    check(
        "auto-quality=69.6,max-bytes=1e3",
        "auto-quality=70,max-bytes=1000",
    );
    check_warned("auto-quality=good", "", 1);
    check_warned("max-bytes=20kB", "", 1);
    for score in ["29", "96", "-5"] {
        check_error(
            &format!("auto-quality={score}"),
            &format!("option `auto-quality` must be a whole number from 30 to 95, got `{score}`"),
        );
    }
    check_error(
        "max-bytes=0",
        "option `max-bytes` must be a number of bytes, at least 1, got `0`",
    );
}

#[test]
fn what_was_passed_over_is_known() {
    #[track_caller]
    fn check(segment: &str, is_sound: bool, reasons: &str) {
        let reading = Reading::of(segment);
        assert_eq!(reading.options().is_ok(), is_sound, "{segment}");
        assert_eq!(reading.reasons().to_string(), reasons, "{segment}");
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
        "option `fit` knows no `fill`, only `squeeze`; option `quality` knows no `mid`, only `medium-high`",
    );
    check(
        "f=jpg,g=centre",
        true,
        "option `format` knows no `jpg`, only `jpeg`; option `gravity` knows no `centre`, only `center`",
    );
    check(
        "sharpen=11,blur=300",
        false,
        "option `blur` must be a number from 0 to 250, got `300`; option `sharpen` must be a number from 0 to 10, got `11`",
    );
    // Lenient readers hear of the first one only, as ever.
    check_error(
        "sharpen=11,blur=300",
        "option `blur` must be a number from 0 to 250, got `300`",
    );
}

#[test]
fn hostile_text_takes_linear_time() {
    let started = Instant::now();
    let size = 1_000_000;
    let texts = [
        ",".repeat(size),
        "(".repeat(size),
        "%2C".repeat(size / 3),
        "%00".repeat(size / 3),
        "w=".repeat(size / 2),
        "width=a,".repeat(size / 8),
        format!("width={}", "1".repeat(size)),
        format!("blur=0.{}", "1".repeat(size)),
        format!("gravity={}", "0x".repeat(size / 2)),
        format!("trim={}", "1;".repeat(size / 2)),
        format!("wbreakpoints={}", "1;".repeat(size / 2)),
        format!("background={}", "rgb(from ".repeat(size / 9)),
        format!("width=5,{}", "a=b,".repeat(size / 4)),
        "no-pair,".repeat(size / 8),
    ];
    for text in &texts {
        if let Ok((_, warnings)) = Options::parse(text) {
            assert!(warnings.len() <= 1, "{}", warnings.len());
        }
    }
    // Some hundred milliseconds at most; anything quadratic takes many minutes.
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn options_that_ask_for_nothing_print_nothing() {
    assert_eq!(Options::default().to_string(), "");
    assert_eq!("".parse::<Options>(), Ok(Options::default()));
    assert_eq!(Options::parse(""), Err(OptionError::NoUsableOption));
}

#[test]
fn effects_to_come_are_told() {
    #[track_caller]
    fn check(segment: &str, expected: &[&str]) {
        let (options, _) = Options::parse(segment).expect(segment);
        let told: Vec<String> = options
            .effects_to_come()
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
