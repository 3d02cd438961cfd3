//! The values of each option, by the section that describes it.

use super::check;
use super::check_error;
use super::check_refused;
use super::check_warned;
use super::check_warning;

#[test]
fn section_1_2_unsupported_formats() {
    check_error("format=mp4", "'mp4' is not a supported output format");
    check_error("f=gif,w=1", "'gif' is not a supported output format");
    check("format=png-force", "format=png-force");
    check("f=baseline-jpeg", "format=baseline-jpeg");
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
    // Our own: in Cloudflare's dialect borders exist in Workers only.
    check(
        "border.color=red,border.width=5,border.top=1,border.left=0",
        "border.color=%23ff0000,border.left=0,border.top=1,border.width=5",
    );
    check_warned("border.width=thick", "", 1);
    check_refused(
        "border.top",
        "a whole number of pixels, at least 0",
        &["-1"],
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
    check_refused(
        "gravity",
        "two numbers from 0 to 1 as in 0.5x0.5",
        &["2x0.5", "0.5x-0.1"],
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
    check_refused("rotate", "0, 90, 180 or 270", &["-90"]);
    check("segment=foreground", "segment=foreground");
    check("sharpen=1,zoom=0.5", "sharpen=1,zoom=0.5");
    check_refused("sharpen", "a number from 0 to 10", &["11"]);
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
    check_refused(
        "quality",
        "a whole number from 1 to 100",
        &["0", "101", "-5"],
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
    check_refused(
        "trim.top",
        "a number of pixels, or a number below 1 for a part of the side",
        &["-1"],
    );
    check_refused(
        "trim",
        "a number of pixels, or a number below 1 for a part of the side",
        &["1;2;-3;4"],
    );
    check_refused(
        "trim.border.tolerance",
        "a whole number from 0 to 255",
        &["256"],
    );
    check_refused(
        "trim.border.keep",
        "a whole number of pixels, at least 0",
        &["-1"],
    );
}

#[test]
fn section_2_21_upscale() {
    check("upscale=interpolate", "upscale=interpolate");
    check("upscale=generate", "upscale=generate");
    check_warned("upscale=magic", "", 1);
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
fn section_2_23_slow_connections() {
    check("scq=50,q=80", "quality=80,slow-connection-quality=50");
    check("scq=mid", "slow-connection-quality=medium-high");
    check_warned("scq=best", "", 1);
    check_refused(
        "slow-connection-quality",
        "a whole number from 1 to 100",
        &["0"],
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
    check_refused(
        "auto-quality",
        "a whole number from 30 to 95",
        &["29", "96", "-5"],
    );
    check_refused("max-bytes", "a number of bytes, at least 1", &["0"]);
}
