//! Forgetting old records; the hourly and daily sums stay.

use tollgate_core::UnixMicros;
use uuid::Uuid;

use crate::database::values;
use crate::error::StoreError;
use crate::store::Store;

impl Store {
    /// Deletes up to `limit` requests (with their attempts) that started before `time` and says how many; call again
    /// until it is none. Small limits keep the writer free for others in between.
    pub async fn system_delete_records_before(
        &self,
        time: UnixMicros,
        limit: u32,
    ) -> Result<u64, StoreError> {
        const ATTEMPTS: &str = "DELETE FROM usage_records WHERE request_id IN (SELECT request_id \
            FROM request_records WHERE organization_id = $1 AND started_at < $2 ORDER BY started_at, request_id \
            LIMIT $3)";
        const REQUESTS: &str = "DELETE FROM request_records WHERE request_id IN (SELECT request_id \
            FROM request_records WHERE organization_id = $1 AND started_at < $2 ORDER BY started_at, request_id \
            LIMIT $3)";
        let organizations = self.database.rows("SELECT id FROM organizations ORDER BY id", values![]).await?;
        let mut deleted = 0;
        for row in organizations {
            let remaining = u64::from(limit).saturating_sub(deleted);
            if remaining == 0 {
                break;
            }
            let organization_id: Uuid = row.get("id")?;
            let mut transaction = self.database.begin().await?;
            transaction.execute(ATTEMPTS, values![organization_id, time, remaining]).await?;
            let requests = transaction.execute(REQUESTS, values![organization_id, time, remaining]).await?;
            if requests > 0 {
                transaction.commit().await?;
            }
            deleted += requests;
        }
        Ok(deleted)
    }
}
