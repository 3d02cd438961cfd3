use std::net::SocketAddr;

use url::Url;

use crate::source::egress::{AddressClass, EgressPolicy, address_class};

#[track_caller]
fn check(address: &str, expected: AddressClass) {
    let parsed = address.parse().expect("the row holds an address");
    assert_eq!(address_class(parsed), expected, "{address}");
}

#[test]
fn public_addresses() {
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "52.218.0.1",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2a05:d018::1",
        "2001:200::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ] {
        check(address, AddressClass::Public);
    }
}

#[test]
fn private_addresses() {
    for address in [
        "10.0.0.0",
        "10.255.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "::1",
        "fc00::1",
        "fdff::1",
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
        "64:ff9b::10.0.0.1",
        "64:ff9b::7f00:1",
    ] {
        check(address, AddressClass::Private);
    }
}

#[test]
fn special_addresses() {
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "169.254.0.1",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::7f00:1",
        "::8.8.8.8",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "::ffff:0:10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::a00:1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:2::1",
        "2001:10::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "3fff::1",
        "5f00::1",
    ] {
        check(address, AddressClass::Special);
    }
}

#[test]
fn a_literal_host_is_checked_in_every_spelling() {
    for url in [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://169.254.169.254/",
    ] {
        let url = Url::parse(url).expect("the row holds a URL");
        assert!(EgressPolicy::Public.check_literal(&url).is_err(), "{url}");
    }
    let url = Url::parse("http://1.1.1.1/").expect("a URL");
    assert!(EgressPolicy::Public.check_literal(&url).is_ok());
}

#[test]
fn opening_private_networks_does_not_open_the_metadata_service() {
    for (url, expected) in [
        ("http://10.0.0.1/", true),
        ("http://[::1]/", true),
        ("http://8.8.8.8/", true),
        ("http://169.254.169.254/", false),
        ("http://[fd00:ec2::254]/", false),
        ("http://[::ffff:169.254.169.254]/", false),
    ] {
        let url = Url::parse(url).expect("the row holds a URL");
        assert_eq!(
            EgressPolicy::Private.check_literal(&url).is_ok(),
            expected,
            "{url}"
        );
        assert!(EgressPolicy::Anywhere.check_literal(&url).is_ok(), "{url}");
    }
}

#[test]
fn only_the_allowed_part_of_a_dns_answer_is_used() {
    let public: SocketAddr = "8.8.8.8:0".parse().expect("an address");
    let private: SocketAddr = "10.0.0.1:0".parse().expect("an address");
    let kept = EgressPolicy::Public
        .filter(vec![private, public])
        .expect("one is public");
    assert_eq!(kept, [public]);
    let denied = EgressPolicy::Public.filter(vec![private]);
    denied.expect_err("none is public");
}
