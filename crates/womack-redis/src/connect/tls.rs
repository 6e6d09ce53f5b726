//! TLS towards Redis: whom to trust, and who we are.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

/// The files, in PEM, that TLS towards Redis needs.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct TlsFiles {
    /// Who may have signed the server's certificate; without it, whom this machine trusts.
    #[serde(rename = "redis-ca")]
    pub ca: Option<PathBuf>,
    /// The certificate to show, with those between it and its CA.
    #[serde(rename = "redis-cert")]
    pub cert: Option<PathBuf>,
    /// The key of that certificate.
    #[serde(rename = "redis-key")]
    pub key: Option<PathBuf>,
}

/// Why TLS cannot be spoken with a server.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is none of its kind.
    #[error("{}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause, for people.
        reason: String,
    },
    /// A file without a certificate.
    #[error("{}: there is no certificate in it", .0.display())]
    NoCertificate(PathBuf),
    /// A certificate without its key, or a key without its certificate.
    #[error("redis-cert and redis-key need each other")]
    Unpaired,
    /// A host that no certificate can name.
    #[error("{0:?} is no name that a certificate could have")]
    ServerName(String),
    /// The package for TLS does not do what is asked of it, for this reason.
    #[error("{0}")]
    Unsupported(String),
}

impl TlsFiles {
    pub(super) const fn is_set(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }

    /// Reads the files, to see whether they can be used.
    ///
    /// # Errors
    /// One of them cannot.
    pub fn check(&self) -> Result<(), TlsError> {
        self.connector().map(drop)
    }

    /// Reads the files.
    pub(super) fn connector(&self) -> Result<TlsConnector, TlsError> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                for certificate in certificates(path)? {
                    let added = roots.add(certificate);
                    added.map_err(|error| unusable(path, &error))?;
                }
            }
            None => {
                // A certificate of the system's that cannot be read is one that nobody can use.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Unsupported(error.to_string()))?
            .with_root_certificates(roots);
        let config = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates(cert)?;
                let private = PrivateKeyDer::from_pem_file(key);
                let private = private.map_err(|error| unusable(key, &error))?;
                let built = builder.with_client_auth_cert(chain, private);
                built.map_err(|error| unusable(key, &error))?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err(TlsError::Unpaired),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |error| unusable(path, &error);
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let certificates: Vec<_> = found.collect::<Result<_, _>>().map_err(failed)?;
    match certificates.is_empty() {
        true => Err(TlsError::NoCertificate(path.to_owned())),
        false => Ok(certificates),
    }
}

fn unusable(path: &Path, error: &dyn Display) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

/// What the server's certificate must name.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let name = ServerName::try_from(host.to_owned());
    name.map_err(|_| TlsError::ServerName(host.to_owned()))
}
