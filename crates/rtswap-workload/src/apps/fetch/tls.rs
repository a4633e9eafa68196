//! Whose certificates are accepted.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::explain;

/// Those of `root`'s, or without one any.
pub(super) fn config(root: Option<&impl AsRef<Path>>) -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = match root {
        Some(root) => builder.with_root_certificates(read(root.as_ref())?),
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
    }
    .with_no_client_auth();
    // Every handshake is a whole one.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn read(root: &Path) -> io::Result<RootCertStore> {
    let place = root.display().to_string();
    let no_root = |error: &dyn std::error::Error| {
        io::Error::other(format!("{place}: cannot read the root certificate: {error}"))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(root).map_err(|error| no_root(&error))? {
        let certificate = certificate.map_err(|error| no_root(&error))?;
        roots.add(certificate).map_err(|error| explain(&place, "no root certificate", &error))?;
    }
    if roots.is_empty() {
        return Err(io::Error::other(format!("{place}: there is no certificate in it")));
    }
    Ok(roots)
}

/// Accepts the certificate of anybody, for any name, as `verify_ssl=False` does. That the server has the
/// certificate's key is checked nevertheless, as OpenSSL does.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
