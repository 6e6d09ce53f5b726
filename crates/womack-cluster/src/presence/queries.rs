//! Who is in a channel: questions of clients, answered from the records of all nodes.

use redis::RedisResult;
use womack_engine::{Question, Report, ToShard};
use womack_ledger::Limit;

use super::{
    ledger::{Ledger, is_refusal},
    reporter::Running,
    write::channel,
};

impl Running {
    /// Answers questions in their order. When the link is lost those that are left stay, to be
    /// answered over the next.
    pub(super) async fn answer(
        &mut self,
        ledger: &mut Ledger,
        questions: Vec<Question>,
    ) -> RedisResult<()> {
        let mut questions = questions.into_iter();
        while let Some(question) = questions.next() {
            let (answer, done) = match self.find(ledger, &question).await {
                Ok(answer) => (answer, Ok(())),
                Err(error) if is_refusal(&error) => (None, Err(error)),
                Err(error) => {
                    let left = [question].into_iter().chain(questions);
                    self.batch.extend(left.map(Report::Asked));
                    return Err(error);
                }
            };
            let token = question.token;
            self.hand(question.shard, ToShard::Presence { token, answer })
                .await;
            self.unless_refused(done)?;
        }
        Ok(())
    }

    async fn find(&self, ledger: &mut Ledger, question: &Question) -> RedisResult<Option<String>> {
        if !self.has_keys() {
            return Ok(None);
        }
        let context = &self.reporter.context;
        let namespace = &context.registry.get(question.namespace).path;
        let channel = channel(&context.registry, question.namespace, &question.channel);
        let nodes = ledger.nodes().await?;
        let most = context.config.limits.load().max_presence_members;
        let (count, members) = ledger.members(&nodes, namespace, channel, most).await?;
        if count > most as u64 {
            context.metrics.limit(Limit::MaxPresenceMembers);
        }
        Ok(Some(answer(count, &members)))
    }
}

/// What a client that asked is told; `members` are JSON texts.
fn answer(count: u64, members: &[String]) -> String {
    let members = members.join(",");
    format!(r#"{{"ok":true,"count":{count},"members":[{members}]}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_json() {
        assert_eq!(answer(0, &[]), r#"{"ok":true,"count":0,"members":[]}"#);
        let members = [r#"{"name":"ann"}"#.to_owned(), "null".to_owned()];
        assert_eq!(
            answer(7, &members),
            r#"{"ok":true,"count":7,"members":[{"name":"ann"},null]}"#
        );
    }
}
