//! A small client of MySQL's protocol, over any stream.
//!
//! The drivers that there are bring their own sockets: `mysql_async` connects tokio's, and sqlx's handshake
//! over a socket of one's own is private. The packets and their framing are `mysql_common`'s, which
//! `mysql_async` is made of as well; what is here is who says what when.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use mysql_common::Value;
use mysql_common::auth::plugins::{AuthProc, ChallengeResponsePlugin as _, Context, Response};
use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{
    AuthPlugin, AuthSwitchRequest, Column, ComStmtExecuteRequestBuilder, ErrPacket,
    HandshakePacket, HandshakeResponse, StmtPacket,
};
use mysql_common::proto::codec::PacketCodec;
use mysql_common::proto::{Binary, MyDeserialize, MySerialize as _};
use mysql_common::row::{Row, RowDeserializer};
use mysql_common::value::ServerSide;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;

/// First bytes of what a server sends.
const OK: u8 = 0x00;
const MORE: u8 = 0x01;
const END: u8 = 0xfe;
const ERROR: u8 = 0xff;

/// Bytes of an end of rows, at most: a row may begin with the same byte, and is longer then.
const END_MOST: usize = 8;

/// Bytes that a read asks for.
const READ_BYTES: usize = 4096;

/// A connection that is logged in.
pub(super) struct Client<S> {
    stream: S,
    codec: PacketCodec,
    input: BytesMut,
    output: BytesMut,
    /// The packet that was read last.
    packet: Vec<u8>,
    /// The packet that is made.
    draft: Vec<u8>,
    capabilities: CapabilityFlags,
}

/// A prepared statement.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    id: u32,
    columns: Arc<[Column]>,
}

/// What the authentication plugins ask for.
struct Secret<'a> {
    password: &'a [u8],
    nonce: &'a [u8],
}

impl Context for &Secret<'_> {
    fn pass(&self) -> &[u8] {
        self.password
    }

    fn is_ipc_transport(&self) -> bool {
        false
    }

    fn is_tls_transport(&self) -> bool {
        false
    }

    fn scramble(&self) -> &[u8] {
        self.nonce
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Client<S> {
    /// Logs in.
    pub async fn connect(
        stream: S,
        user: &str,
        password: &str,
        database: &str,
    ) -> io::Result<Self> {
        let mut client = Self {
            stream,
            codec: PacketCodec::default(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            packet: Vec::new(),
            draft: Vec::new(),
            // Without `DEPRECATE_EOF`, so that rows end in one way on all servers.
            capabilities: CapabilityFlags::CLIENT_PROTOCOL_41
                | CapabilityFlags::CLIENT_SECURE_CONNECTION
                | CapabilityFlags::CLIENT_LONG_PASSWORD
                | CapabilityFlags::CLIENT_TRANSACTIONS
                | CapabilityFlags::CLIENT_PLUGIN_AUTH
                | CapabilityFlags::CLIENT_CONNECT_WITH_DB,
        };
        client.read().await?;
        let greeting: HandshakePacket<'static> =
            parse::<HandshakePacket<'_>>(&client.packet, ())?.into_owned();
        client.capabilities &= greeting.capabilities();
        let nonce = greeting.nonce();
        let secret = Secret { password: password.as_bytes(), nonce: &nonce };
        let plugin = greeting.auth_plugin().unwrap_or(AuthPlugin::MysqlNativePassword);
        let mut method = method_of(&plugin)?;
        let answer = method.run(&secret, &nonce).map_err(other)?;
        let login = HandshakeResponse::new(
            answer.data(),
            greeting.server_version_parsed().unwrap_or((5, 7, 0)),
            Some(user.as_bytes()),
            Some(database.as_bytes()),
            Some(plugin.borrow()),
            client.capabilities,
            None,
            1 << 24,
        );
        client.draft.clear();
        login.serialize(&mut client.draft);
        client.write().await?;
        client.authenticate(method, password, nonce).await?;
        Ok(client)
    }

    /// Answers challenges until the server is content.
    async fn authenticate(
        &mut self,
        mut method: AuthProc,
        password: &str,
        mut nonce: Vec<u8>,
    ) -> io::Result<()> {
        loop {
            self.read().await?;
            let challenge = match self.packet.first() {
                Some(&OK) => return Ok(()),
                Some(&MORE) => self.packet[1..].to_vec(),
                Some(&END) => {
                    let switch: AuthSwitchRequest<'_> = parse(&self.packet, ())?;
                    method = method_of(&switch.auth_plugin())?;
                    nonce = switch.plugin_data().to_vec();
                    nonce.clone()
                }
                _ => return Err(strange("its answer to the login")),
            };
            let secret = Secret { password: password.as_bytes(), nonce: &nonce };
            let answer = method.run(&secret, &challenge).map_err(other)?;
            if let Response::Next { packet: Some(data) } | Response::Last { packet: Some(data) } =
                answer
            {
                self.draft = data;
                self.write().await?;
            }
        }
    }

    /// Runs a statement as text. Returns the first column of each row that it answers.
    pub async fn query(&mut self, sql: &str) -> io::Result<Vec<String>> {
        self.command(COM_QUERY, sql).await?;
        self.read().await?;
        if self.packet.first() == Some(&OK) {
            return Ok(Vec::new());
        }
        self.skip_columns().await?;
        let mut rows = Vec::new();
        while self.read_row().await? {
            let text = ParseBuf(&self.packet).checked_eat_lenenc_str();
            let text = text.ok_or_else(|| strange("a row"))?;
            rows.push(String::from_utf8_lossy(text).into_owned());
        }
        Ok(rows)
    }

    /// Prepares a statement.
    pub async fn prepare(&mut self, sql: &str) -> io::Result<Statement> {
        self.command(COM_STMT_PREPARE, sql).await?;
        self.read().await?;
        let answer: StmtPacket = parse(&self.packet, ())?;
        for _ in 0..answer.num_params() {
            self.read().await?;
        }
        if answer.num_params() > 0 {
            self.read_end().await?;
        }
        let mut columns = Vec::new();
        for _ in 0..answer.num_columns() {
            self.read().await?;
            columns.push(parse(&self.packet, ())?);
        }
        if answer.num_columns() > 0 {
            self.read_end().await?;
        }
        Ok(Statement { id: answer.statement_id(), columns: columns.into() })
    }

    /// Runs a statement that was prepared. Returns its rows.
    pub async fn execute(
        &mut self,
        statement: &Statement,
        params: &[Value],
    ) -> io::Result<Vec<Row>> {
        let (request, _) = ComStmtExecuteRequestBuilder::new(statement.id).build(params);
        self.codec.reset_seq_id();
        self.draft.clear();
        request.serialize(&mut self.draft);
        self.write().await?;
        self.read().await?;
        self.skip_columns().await?;
        let mut rows = Vec::new();
        while self.read_row().await? {
            let columns = Arc::clone(&statement.columns);
            let row: RowDeserializer<ServerSide, Binary> = parse(&self.packet, columns)?;
            rows.push(row.into_inner());
        }
        Ok(rows)
    }

    /// Sends a command with a text.
    async fn command(&mut self, command: u8, text: &str) -> io::Result<()> {
        self.codec.reset_seq_id();
        self.draft.clear();
        self.draft.push(command);
        self.draft.extend_from_slice(text.as_bytes());
        self.write().await
    }

    /// Skips the columns whose number was just read.
    async fn skip_columns(&mut self) -> io::Result<()> {
        let columns = ParseBuf(&self.packet).checked_eat_lenenc_int();
        for _ in 0..columns.ok_or_else(|| strange("a number of columns"))? {
            self.read().await?;
        }
        self.read_end().await
    }

    /// Reads a row; `false` at the end of them.
    async fn read_row(&mut self) -> io::Result<bool> {
        self.read().await?;
        Ok(!self.at_end())
    }

    async fn read_end(&mut self) -> io::Result<()> {
        self.read().await?;
        if self.at_end() { Ok(()) } else { Err(strange("the end of a list")) }
    }

    fn at_end(&self) -> bool {
        self.packet.first() == Some(&END) && self.packet.len() <= END_MOST
    }

    /// Reads a packet; one that is an error becomes one.
    async fn read(&mut self) -> io::Result<()> {
        self.packet.clear();
        while !self.codec.decode(&mut self.input, &mut self.packet).map_err(other)? {
            self.input.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the server closed the connection",
                ));
            }
        }
        if self.packet.first() != Some(&ERROR) {
            return Ok(());
        }
        let error: ErrPacket<'_> = parse(&self.packet, self.capabilities)?;
        Err(io::Error::other(error.to_string()))
    }

    /// Sends the draft.
    async fn write(&mut self) -> io::Result<()> {
        self.output.clear();
        self.codec.encode(&mut self.draft.as_slice(), &mut self.output).map_err(other)?;
        self.stream.write_all(&self.output).await?;
        self.stream.flush().await
    }
}

/// The method of a plugin that the server asks for. The server is not trusted: whoever answers at its port
/// may ask for the password itself.
fn method_of(plugin: &AuthPlugin<'_>) -> io::Result<AuthProc> {
    match plugin {
        AuthPlugin::MysqlClearPassword | AuthPlugin::MysqlOldPassword => {
            let plugin = String::from_utf8_lossy(plugin.as_bytes());
            Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "the server asks for {plugin}, which gives the password away; \
                     choose an account with another authentication plugin"
                ),
            ))
        }
        plugin => plugin.init().map_err(other),
    }
}

fn parse<'a, T: MyDeserialize<'a>>(packet: &'a [u8], context: T::Ctx) -> io::Result<T> {
    ParseBuf(packet).parse(context)
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

fn strange(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is not what the protocol has"))
}
