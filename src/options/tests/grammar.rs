//! How a segment is read: encoding, pairs, names, and malformed values.

use super::check;
use super::check_error;
use super::check_refused;
use super::check_warned;
use super::check_warning;

#[test]
fn section_1_2_encoding() {
    check("width%3D80", "width=80");
    check("width=%38%30", "width=80");
    // It is decoded only once, which leaves the text `%2C`.
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
    // A value that is replaced by a later one has no effect, not even as an error.
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
    // Never closed: the rest belongs to a malformed colour.
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
    check_refused("blur", "a number from 0 to 250", &["300", "-1", "1e999"]);
    check_refused("sharpen", "a number from 0 to 10", &["10.1"]);
    check_refused("brightness", "a number from 0 to 255", &["256"]);
    check_refused("contrast", "a number from 0 to 255", &["255.1"]);
    check_refused("saturation", "a number from 0 to 255", &["-0.5"]);
    check_refused("gamma", "a number from 0 to 255", &["256"]);
    check_refused("zoom", "a number from 0 to 1", &["1.5"]);
    check_refused("rotate", "0, 90, 180 or 270", &["45"]);
    check(
        "brightness=255,contrast=0,saturation=.5,gamma=2.20,sharpen=10,blur=250",
        "blur=250,brightness=255,contrast=0,gamma=2.2,saturation=0.5,sharpen=10",
    );
    check("sharpen=0.12345678", "sharpen=0.123457");
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
    // These have no alias, or exist in Workers only.
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
