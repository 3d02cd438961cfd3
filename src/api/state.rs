//! What all requests of the API share.

use std::sync::Arc;
use std::time::Duration;

use crate::api::access::{Access, AccessError, Tokens};
use crate::api::call::{Call, Place};
use crate::api::crowd::Crowd;
use crate::api::error::{ApiError, Failure};
use crate::api::view::View;
use crate::hosted::{AccountSettings, Config, Hosted, ImageId, Record};
use crate::pipeline::Pipeline;
use crate::telemetry::UploadStep;
use crate::token::Token;

/// What all requests of the API share.
pub(super) struct ApiState {
    pipeline: Arc<Pipeline>,
    hosted: Arc<Hosted>,
    tokens: Tokens,
    /// Who uses which upload URL.
    pub(super) crowd: Arc<Crowd>,
}

impl ApiState {
    pub(super) fn open(
        pipeline: &Arc<Pipeline>,
        operators: &Token,
    ) -> Result<Option<Self>, AccessError> {
        let Some(hosted) = pipeline.hosted() else {
            return Ok(None);
        };
        let tokens = Tokens::open(hosted.config(), operators)?;
        if tokens.is_empty() {
            tracing::warn!("nobody can use the API of hosted images: there is no [[hosted.token]]");
        }
        Ok(Some(ApiState {
            pipeline: Arc::clone(pipeline),
            hosted: Arc::clone(hosted),
            tokens,
            crowd: Arc::default(),
        }))
    }

    pub(super) fn reopen(
        &self,
        pipeline: &Arc<Pipeline>,
        config: &Config,
        operators: &Token,
    ) -> Result<Self, AccessError> {
        Ok(ApiState {
            pipeline: Arc::clone(pipeline),
            hosted: Arc::clone(&self.hosted),
            tokens: Tokens::open(config, operators)?,
            crowd: Arc::clone(&self.crowd),
        })
    }

    pub(super) fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    pub(super) fn hosted(&self) -> &Arc<Hosted> {
        &self.hosted
    }

    pub(super) fn config(&self) -> &Config {
        self.hosted.config()
    }

    /// What the token of a request allows.
    pub(super) fn access(&self, call: &Call) -> Result<Access, ApiError> {
        self.hosted.check_open()?;
        let secret = &self.hosted.settings().secret;
        let access = self
            .tokens
            .check(&call.headers, secret, &self.config().hash)?;
        match &call.place {
            Place::Account(account) if *account != self.config().account => {
                let account: String = account.chars().take(100).collect();
                let message = format!(
                    "The given account is not valid or is not authorized to access this service: `{account}`"
                );
                Err(ApiError::new(Failure::WrongAccount, message))
            }
            _ => Ok(access),
        }
    }

    /// How images are shown in the answer to a request.
    pub(super) fn view(&self, call: &Call) -> View {
        View::new(self.config(), self.hosted.settings(), &call.base)
    }

    /// Changes the settings of the account.
    pub(super) async fn change_settings(
        &self,
        change: impl Fn(&mut AccountSettings) -> Result<(), ApiError> + Send,
    ) -> Result<Arc<AccountSettings>, ApiError> {
        self.hosted.change_settings(change).await?
    }

    /// Counts an upload by where it came from and what became of it.
    pub(super) fn count_upload(
        &self,
        source: &'static str,
        stored: Result<Arc<Record>, ApiError>,
    ) -> Result<Arc<Record>, ApiError> {
        let uploads = &self.pipeline.metrics().uploads;
        match &stored {
            Ok(record) => {
                let original = record.original.as_ref();
                let bytes = original.map_or(0, |original| original.bytes);
                uploads.record(source, "stored", bytes);
            }
            Err(error) => uploads.record(source, error.word(), 0),
        }
        stored
    }

    /// Records how long a step of an upload took.
    pub(super) fn time_upload(&self, step: UploadStep, time: Duration) {
        self.pipeline.metrics().uploads.record_step(step, time);
    }

    /// The record of an image or a draft that a request may see.
    pub(super) async fn find(
        &self,
        id: &ImageId,
        access: &Access,
    ) -> Result<Arc<Record>, ApiError> {
        let found = self.hosted.find(id).await?;
        found
            .filter(|record| access.covers(record.creator.as_deref()))
            .ok_or_else(ApiError::not_found)
    }
}
