//! Logging in, as MySQL 8 has it by default: there is no such server among Debian's packages.

use bytes::BytesMut;
use futures_lite::future::{block_on, zip};
use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::packets::HandshakePacket;
use mysql_common::proto::MySerialize as _;
use mysql_common::proto::codec::PacketCodec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::client::Client;

const NONCE: &[u8; 20] = b"abcdefghijklmnopqrst";
const OTHER_NONCE: &[u8; 20] = b"ABCDEFGHIJKLMNOPQRST";
const PASSWORD: &str = "secret";
const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
const CACHED: &[u8] = &[1, 3];
const NOT_CACHED: &[u8] = &[1, 4];
const GIVE_ME_THE_KEY: &[u8] = &[2];

/// Of 2,048 bits; the private one is nowhere.
const KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwP3oDtQ+deSI7qhbd303
7nYHT2gum+TdmkM0WfgG/K9raG6f9Ss+ATEkhGJipzn2hYwbEr+zeQ4nPDWKaf0T
eIEglCmsx+V/9e5JMvFCTqPjeyMvBPnZnsz58vfVcbLbuTKWMJ2mAmwnGLM1Myb4
JDn8VCAgBFMQRhcgOqm2GPCbkfQaMT2LwoGk+knFKpZQUTYLGrEAskQId78d8GbA
3wUbGYoJ7nzJv6oIaBE9ojtrAeQhEKB7o4rY1F+N1hHNj+SPADpEkXUkRoUDtdEK
8LJo6ntEDK3MTPHVsXvoPlg3h61/hQeRa5HQBZa8RqhrhPAekUMTdZf7KrXW+t1S
UwIDAQAB
-----END PUBLIC KEY-----
";

/// A server that says what a test says.
struct Server {
    stream: DuplexStream,
    codec: PacketCodec,
    input: BytesMut,
}

impl Server {
    async fn say(&mut self, packet: &[u8]) {
        let mut output = BytesMut::new();
        self.codec.encode(&mut &packet[..], &mut output).unwrap();
        self.stream.write_all(&output).await.unwrap();
    }

    async fn greet(&mut self, plugin: &[u8]) {
        let capabilities = CapabilityFlags::CLIENT_PROTOCOL_41
            | CapabilityFlags::CLIENT_SECURE_CONNECTION
            | CapabilityFlags::CLIENT_PLUGIN_AUTH
            | CapabilityFlags::CLIENT_CONNECT_WITH_DB;
        let (first, rest) = NONCE.split_first_chunk::<8>().unwrap();
        let rest = [rest, &[0]].concat();
        let status = StatusFlags::empty();
        let version: &[u8] = b"8.4.0";
        let greeting = HandshakePacket::new(
            10,
            version,
            7,
            *first,
            Some(rest),
            capabilities,
            45,
            status,
            Some(plugin),
        );
        let mut packet = Vec::new();
        greeting.serialize(&mut packet);
        self.say(&packet).await;
    }

    /// Checks that the client sends nothing more and leaves.
    async fn assert_left(&mut self) {
        let read = self.stream.read_buf(&mut self.input).await.unwrap();
        assert_eq!(read, 0, "{:?}", self.input);
    }

    async fn hear(&mut self) -> Vec<u8> {
        let mut packet = Vec::new();
        while !self.codec.decode(&mut self.input, &mut packet).unwrap() {
            assert_ne!(self.stream.read_buf(&mut self.input).await.unwrap(), 0);
        }
        packet
    }
}

/// Logs in to a server that does as `script` says.
fn login(script: impl AsyncFnOnce(Server)) -> std::io::Result<()> {
    let (here, there) = duplex(1 << 16);
    let server = Server { stream: there, codec: PacketCodec::default(), input: BytesMut::new() };
    let client = Client::connect(here, "me", PASSWORD, "db");
    block_on(zip(client, script(server))).0.map(drop)
}

fn contains(packet: &[u8], part: &[u8]) -> bool {
    packet.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_password_that_the_server_has_cached_is_proved_by_its_digest() {
    let logged_in = login(async |mut server| {
        server.greet(b"caching_sha2_password").await;
        let answer = server.hear().await;
        let proof = scramble_sha256(NONCE, PASSWORD.as_bytes()).unwrap();
        assert!(contains(&answer, &proof) && !contains(&answer, PASSWORD.as_bytes()));
        server.say(CACHED).await;
        server.say(OK).await;
    });
    logged_in.unwrap();
}

#[test]
fn one_that_it_has_not_is_sent_under_its_key() {
    let logged_in = login(async |mut server| {
        server.greet(b"caching_sha2_password").await;
        server.hear().await;
        server.say(NOT_CACHED).await;
        assert_eq!(server.hear().await, GIVE_ME_THE_KEY);
        server.say(&[&[1], KEY.as_bytes()].concat()).await;
        assert_eq!(server.hear().await.len(), 256);
        server.say(OK).await;
    });
    logged_in.unwrap();
}

#[test]
fn a_server_may_ask_for_another_method_than_it_greeted_with() {
    let logged_in = login(async |mut server| {
        server.greet(b"mysql_native_password").await;
        server.hear().await;
        let switch: [&[u8]; 5] = [&[0xfe], b"caching_sha2_password", &[0], OTHER_NONCE, &[0]];
        server.say(&switch.concat()).await;
        let proof = scramble_sha256(OTHER_NONCE, PASSWORD.as_bytes()).unwrap();
        assert_eq!(server.hear().await, proof);
        server.say(CACHED).await;
        server.say(OK).await;
    });
    logged_in.unwrap();
}

#[test]
fn no_server_is_given_the_password_itself() {
    for plugin in ["mysql_clear_password", "mysql_old_password"] {
        let greeted = login(async |mut server| {
            server.greet(plugin.as_bytes()).await;
            server.assert_left().await;
        });
        let switched = login(async |mut server| {
            server.greet(b"mysql_native_password").await;
            server.hear().await;
            let switch: [&[u8]; 4] = [&[0xfe], plugin.as_bytes(), &[0], b"abcdefgh\0"];
            server.say(&switch.concat()).await;
            server.assert_left().await;
        });
        for refused in [greeted, switched] {
            let told = refused.unwrap_err().to_string();
            assert!(told.contains(plugin) && !told.contains(PASSWORD), "{told}");
        }
    }
}

#[test]
fn a_refusal_says_what_the_server_says() {
    let refused = login(async |mut server| {
        server.greet(b"caching_sha2_password").await;
        server.hear().await;
        server.say(b"\xff\x15\x04#28000Access denied for user 'me'").await;
    });
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("Access denied for user 'me'") && !told.contains(PASSWORD), "{told}");
}
