//! Tells once that the collector cannot be reached, and once that it can again.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tracing::{info, warn};

/// An exporter whose failures are told at each change, for the batches themselves are silent.
#[derive(Debug)]
pub struct Told<E> {
    exporter: E,
    failing: AtomicBool,
}

impl<E> Told<E> {
    pub fn new(exporter: E) -> Told<E> {
        Told { exporter, failing: AtomicBool::new(false) }
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        let failed_before = self.failing.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Err(error) if !failed_before => {
                warn!(%error, "spans cannot be sent to the collector and are dropped");
            }
            Ok(()) if failed_before => info!("spans are sent to the collector again"),
            _ => {}
        }
        sent
    }
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }
    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }
    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
