//! Refuses an answer of EC2 that ends before its end.
//!
//! The SDK takes the half of a list for all of it: its reader of XML ends quietly where the text
//! does. An address that is only cut off would then be taken for one that is gone.

use aws_sdk_ec2::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;

/// Every successful answer of EC2 is a document whose root's name ends like this.
const END: &[u8] = b"Response>";

/// Looks at every answer before it is believed.
#[derive(Debug)]
pub struct WholeAnswers;

impl Intercept for WholeAnswers {
    fn name(&self) -> &'static str {
        "WholeAnswers"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response();
        match answer.body().bytes() {
            Some(body) if answer.status().is_success() && !is_whole(body) => {
                Err(format!("the answer is cut off after {} bytes", body.len()).into())
            }
            _ => Ok(()),
        }
    }
}

fn is_whole(body: &[u8]) -> bool {
    body.trim_ascii_end().ends_with(END)
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn a_document_is_whole_when_its_root_ends() {
        let whole = "<DescribeAddressesResponse><a/></DescribeAddressesResponse>";
        assert!(is_whole(whole.as_bytes()));
        assert!(is_whole(format!("{whole}\r\n").as_bytes()));
        for end in 0..whole.len() {
            let is_start = whole[..end].ends_with("Response>");
            assert!(!is_whole(&whole.as_bytes()[..end]) || is_start, "cut after {end} bytes");
        }
    }
}
