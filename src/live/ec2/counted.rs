//! Counts and times each attempt of a call to AWS.

use std::time::Instant;

use aws_sdk_ec2::config::interceptors::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use crate::live::metrics::{AwsCall, Metrics};

/// The error code of an attempt that nobody answered.
const NO_ANSWER: &str = "NoAnswer";
/// Codes are words; anything else would be a label without bounds.
const CODE_MAX: usize = 64;

/// Tells each attempt to the metrics.
#[derive(Debug)]
pub struct Counted {
    pub service: &'static str,
    pub metrics: Metrics,
}

/// When an attempt began, and of what: its request is gone when it has ended.
#[derive(Debug)]
struct Began {
    at: Instant,
    operation: String,
}

impl Storable for Began {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Counted {
    fn name(&self) -> &'static str {
        "Counted"
    }

    fn read_before_attempt(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = request.headers().get("x-amz-target");
        let body = request.body().bytes().unwrap_or_default();
        let operation = operation(target, body).unwrap_or_default().to_owned();
        config.interceptor_state().store_put(Began { at: Instant::now(), operation });
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let began = config.load::<Began>();
        let took = began.map(|began| began.at.elapsed()).unwrap_or_default();
        let operation = began.map(|began| began.operation.as_str()).unwrap_or_default();
        let answer = context.response();
        let status = answer.map(|answer| answer.status().as_u16());
        let body = answer.and_then(|answer| answer.body().bytes()).unwrap_or_default();
        let failed = !answer.is_some_and(|answer| answer.status().is_success());
        let kind = answer.and_then(|answer| answer.headers().get("x-amzn-errortype"));
        let code = failed.then(|| match status {
            None => NO_ANSWER.to_owned(),
            Some(_) => code(kind, &String::from_utf8_lossy(body)).unwrap_or_default(),
        });
        let error = code.as_deref();
        self.metrics.aws_call(&AwsCall { service: self.service, operation, status, error, took });
        Ok(())
    }
}

/// The operation, from the target of the JSON protocol or the first parameter of EC2's.
fn operation<'a>(target: Option<&'a str>, body: &'a [u8]) -> Option<&'a str> {
    if let Some(target) = target {
        return target.rsplit('.').next();
    }
    let rest = std::str::from_utf8(body).ok()?.strip_prefix("Action=")?;
    rest.split('&').next()
}

/// The code of an error, from EC2's XML or as the JSON protocol says it.
fn code(kind: Option<&str>, body: &str) -> Option<String> {
    let between = |from: &str, to: &str| {
        let (_, rest) = body.split_once(from)?;
        rest.split_once(to).map(|(code, _)| code)
    };
    let code = kind
        .or_else(|| between("<Code>", "</Code>"))
        .or_else(|| between("\"__type\":\"", "\""))
        .or_else(|| between("\"__type\": \"", "\""))?;
    let code = code.split(':').next()?.rsplit('#').next()?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    (code.len() <= CODE_MAX && code.chars().all(is_word)).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_and_an_error_are_read_from_both_protocols() {
        let query = b"Action=DescribeAddresses&Version=2016-11-15";
        assert_eq!(operation(None, query), Some("DescribeAddresses"));
        let target = "ServiceQuotasV20190624.GetServiceQuota";
        assert_eq!(operation(Some(target), b"{}"), Some("GetServiceQuota"));
        assert_eq!(operation(None, b"garbage"), None);
        let xml = "<Response><Errors><Error><Code>InvalidAddress.NotFound</Code></Error></Errors>";
        assert_eq!(code(None, xml).as_deref(), Some("InvalidAddress.NotFound"));
        let json = r#"{"__type":"com.amazonaws.servicequotas#NoSuchResourceException"}"#;
        assert_eq!(code(None, json).as_deref(), Some("NoSuchResourceException"));
        let kind = "ThrottlingException:http://internal.amazon.com/";
        assert_eq!(code(Some(kind), "").as_deref(), Some("ThrottlingException"));
        for odd in ["", "<html>no</html>", "<Code>a b</Code>", "<Code>a\nb</Code>"] {
            assert_eq!(code(None, odd), None, "{odd}");
        }
        assert_eq!(code(Some(&"x".repeat(65)), ""), None);
    }
}
