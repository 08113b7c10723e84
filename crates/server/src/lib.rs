//! The doors: parse, authenticate, call one service function, render.
//!
//! [`app`] wires and runs a server; `rest` is the native door (`/api/v1`), `wandb` the one for the unmodified wandb
//! client, `pages` the few pages and probes at the root, `ui` the web app.

pub mod app;
mod auth;
mod json;
mod pages;
mod problem;
#[cfg(test)]
mod reach;
mod request_id;
mod rest;
mod ui;
mod unread;
mod wandb;

pub use app::{AppState, Options, Server, start};
pub use rest::openapi;
