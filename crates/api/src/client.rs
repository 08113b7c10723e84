//! The Rust client of `/api/v1`, used by the command line and the agent.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use lanza_model::Phase;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use crate::{
    List, Problem,
    agent::{
        Agent, AgentAnswer, AgentLog, Claim, Claimed, Heartbeat, HeartbeatAnswer, LogEnd, OutcomeReport, Register,
        Report,
    },
    artifact::ArtifactFile,
    build::{BuildAnswer, BuildEnd, BuildRequest},
};

/// Characters that may not stand unescaped in one segment of a path.
const SEGMENT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'?').add(b'<').add(b'>').add(b'`');

/// Returns `text` as one segment of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer: the server is down, or the address is wrong.
    #[error("cannot reach the server at {url}")]
    Unreachable {
        /// Base URL.
        url: String,
        /// The transport's error.
        #[source]
        source: reqwest::Error,
    },
    /// The server refused.
    #[error("{}", .problem.message)]
    Refused {
        /// HTTP status.
        status: u16,
        /// The server's words.
        problem: Box<Problem>,
    },
    /// The answer is not what the contract says.
    #[error("the answer of {url} cannot be read: {why}")]
    Malformed {
        /// Address of the request.
        url: String,
        /// What is wrong with it.
        why: String,
    },
}

impl ClientError {
    /// Whether the same request may succeed later: no answer, 429 or 5xx.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Malformed { .. } => false,
        }
    }

    /// The stable word of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { problem, .. } => Some(&problem.code),
            _ => None,
        }
    }
}

/// Returns an HTTP client with our time-outs; the only place that makes one.
///
/// # Errors
/// When the platform's certificates cannot be loaded.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("lanza/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .pool_idle_timeout(Duration::from_secs(60))
        .build()
}

/// Speaks to one server with one key.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    key: Option<String>,
    http: reqwest::Client,
}

impl Client {
    /// Makes a client for the server at `base` (a `WANDB_BASE_URL`, which may have a path).
    ///
    /// # Errors
    /// When `base` is not an http or https address.
    pub fn new(base: &str, key: Option<String>) -> Result<Self, ClientError> {
        let malformed = |why: String| ClientError::Malformed { url: base.to_owned(), why };
        let url = Url::parse(base).map_err(|e| malformed(format!("it is not an address ({e})")))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(malformed(format!("`{}` is neither http nor https", url.scheme())));
        }
        let http = http_client().map_err(|e| malformed(format!("no HTTP client can be made ({e})")))?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), key, http })
    }

    /// Returns the same client with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// The base URL, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.base)).timeout(Duration::from_secs(60));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response =
            request.send().await.map_err(|source| ClientError::Unreachable { url: self.base.clone(), source })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        Err(ClientError::Refused { status: status.as_u16(), problem: Box::new(problem_of(status, &body)) })
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        let url = response.url().to_string();
        let body =
            response.bytes().await.map_err(|source| ClientError::Unreachable { url: self.base.clone(), source })?;
        serde_json::from_slice(&body).map_err(|e| ClientError::Malformed { url, why: e.to_string() })
    }

    /// Reads `path` (below `/api/v1`, with its query).
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(self.request(Method::GET, path)).await
    }

    /// Sends `body` to `path` and reads the answer.
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    /// Replaces or makes what `path` names.
    pub async fn put<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        self.json(self.request(Method::PUT, path).json(body)).await
    }

    /// Changes parts of what `path` names.
    pub async fn patch<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.json(self.request(Method::PATCH, path).json(body)).await
    }

    /// Deletes what `path` names.
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(self.request(Method::DELETE, path)).await.map(drop)
    }

    /// Reads every page of a list; `path` may have a query.
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page: List<T> = match &after {
                None => self.get(path).await?,
                Some(a) => {
                    let joint = if path.contains('?') { '&' } else { '?' };
                    self.get(&format!("{path}{joint}after={}", segment(a))).await?
                }
            };
            items.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(items),
            }
        }
    }

    /// Reads `path` as text.
    pub async fn text(&self, path: &str) -> Result<String, ClientError> {
        let response = self.send(self.request(Method::GET, path)).await?;
        response.text().await.map_err(|source| ClientError::Unreachable { url: self.base.clone(), source })
    }

    /// Opens a stream of server-sent events at `path`; the bytes come as they are sent, without a time limit.
    pub async fn stream(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        let request = self
            .request(Method::GET, path)
            .timeout(Duration::from_secs(30 * 24 * 3600))
            .header("accept", "text/event-stream");
        let url = self.base.clone();
        Ok(self
            .send(request)
            .await?
            .bytes_stream()
            .map_err(move |source| ClientError::Unreachable { url: url.clone(), source }))
    }

    /// Downloads a signed link (no key is sent along) as a stream.
    pub async fn download(
        &self,
        url: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        let request = self.http.get(url).timeout(Duration::from_secs(3600));
        let base = self.base.clone();
        Ok(self
            .send(request)
            .await?
            .bytes_stream()
            .map_err(move |source| ClientError::Unreachable { url: base.clone(), source }))
    }

    /// Uploads bytes by a signed link (no key is sent along). `body` is read once.
    pub async fn upload(&self, url: &str, length: u64, body: impl Into<reqwest::Body>) -> Result<(), ClientError> {
        let url = if url.starts_with('/') { format!("{}{url}", self.base) } else { url.to_owned() };
        let request = self.http.put(url).timeout(Duration::from_secs(3600)).header("content-length", length).body(body);
        self.send(request).await.map(drop)
    }

    /// Lists the files of an artifact version, with a link each.
    pub async fn artifact_files(&self, artifact: &str) -> Result<Vec<ArtifactFile>, ClientError> {
        self.list(&format!("/artifacts/{}/files", segment(artifact))).await
    }

    /// Registers an agent of `entity`.
    pub async fn agent_register(&self, entity: &str, body: &Register) -> Result<Agent, ClientError> {
        let answer: AgentAnswer = self.post(&format!("/entities/{}/agents", segment(entity)), body).await?;
        Ok(answer.agent)
    }

    /// Claims items, waiting up to `claim.wait_ms` for one.
    pub async fn agent_claim(&self, agent: &str, claim: &Claim) -> Result<Claimed, ClientError> {
        let request = self
            .request(Method::POST, &format!("/agents/{agent}/claim"))
            .timeout(Duration::from_millis(u64::from(claim.wait_ms) + 30_000))
            .json(claim);
        self.json(request).await
    }

    /// Acknowledges a lease: from here the item runs.
    pub async fn attempt_acknowledge(&self, agent: &str, item: &str, attempt: u32) -> Result<(), ClientError> {
        self.send(self.request(Method::POST, &format!("/agents/{agent}/items/{item}/{attempt}/acknowledge")))
            .await
            .map(drop)
    }

    /// Hands back a lease that was not acknowledged.
    pub async fn attempt_return(&self, agent: &str, item: &str, attempt: u32) -> Result<(), ClientError> {
        self.send(self.request(Method::POST, &format!("/agents/{agent}/items/{item}/{attempt}/return"))).await.map(drop)
    }

    /// Renews all leases of the agent and hears what is wanted of it.
    pub async fn agent_heartbeat(&self, agent: &str, body: &Heartbeat) -> Result<HeartbeatAnswer, ClientError> {
        self.post(&format!("/agents/{agent}/heartbeat"), body).await
    }

    /// Adds to the agent's own log.
    pub async fn agent_log(&self, agent: &str, body: &AgentLog) -> Result<(), ClientError> {
        self.send(self.request(Method::POST, &format!("/agents/{agent}/log")).json(body)).await.map(drop)
    }

    /// Reports phases, warnings, environment and source.
    pub async fn attempt_report(
        &self,
        agent: &str,
        item: &str,
        attempt: u32,
        report: &Report,
    ) -> Result<(), ClientError> {
        let path = format!("/agents/{agent}/items/{item}/{attempt}/report");
        self.send(self.request(Method::POST, &path).json(report)).await.map(drop)
    }

    /// Sends bytes of a phase's log that begin at `offset`; returns how far the server's copy reaches.
    pub async fn attempt_log(
        &self,
        agent: &str,
        item: &str,
        attempt: u32,
        phase: Phase,
        offset: u64,
        bytes: Bytes,
    ) -> Result<LogEnd, ClientError> {
        let path = format!("/agents/{agent}/items/{item}/{attempt}/logs/{phase}?offset={offset}");
        self.json(self.request(Method::POST, &path).header("content-type", "application/octet-stream").body(bytes))
            .await
    }

    /// Asks for a build, or renews it, waiting up to `request.wait_ms` while somebody else builds the same.
    pub async fn build_claim(
        &self,
        agent: &str,
        item: &str,
        attempt: u32,
        request: &BuildRequest,
    ) -> Result<BuildAnswer, ClientError> {
        let path = format!("/agents/{agent}/items/{item}/{attempt}/build");
        let patience = Duration::from_millis(u64::from(request.wait_ms) + 15_000);
        self.json(self.request(Method::POST, &path).timeout(patience).json(request)).await
    }

    /// Says that the attempt builds no more.
    pub async fn build_end(&self, agent: &str, item: &str, attempt: u32, end: &BuildEnd) -> Result<(), ClientError> {
        let path = format!("/agents/{agent}/items/{item}/{attempt}/build/end");
        self.send(self.request(Method::POST, &path).timeout(Duration::from_secs(15)).json(end)).await.map(drop)
    }

    /// Reports how an attempt ended. Sending it again is fine.
    pub async fn attempt_outcome(
        &self,
        agent: &str,
        item: &str,
        attempt: u32,
        outcome: &OutcomeReport,
    ) -> Result<(), ClientError> {
        let path = format!("/agents/{agent}/items/{item}/{attempt}/outcome");
        self.send(self.request(Method::POST, &path).json(outcome)).await.map(drop)
    }
}

fn problem_of(status: StatusCode, body: &str) -> Problem {
    serde_json::from_str(body).unwrap_or_else(|_| Problem {
        code: "unknown".into(),
        help: String::new(),
        message: format!("the server answered {status}: {}", body.chars().take(300).collect::<String>()),
        hint: None,
        request_id: String::new(),
        fields: Vec::new(),
    })
}
