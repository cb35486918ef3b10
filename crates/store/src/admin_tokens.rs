//! Credentials of the admin API. Only their hashes are kept.

use serde::Serialize;
use serde_json::json;
use tollgate_access::Actor;
use tollgate_core::{AdminTokenId, UnixMicros};

use crate::audit::Action;
use crate::database::{Row, values};
use crate::error::{ObjectKind, StoreError};
use crate::store::{Store, check_name};
use crate::write::Changed;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdminToken {
    pub id: AdminTokenId,
    pub name: String,
    pub created_at: UnixMicros,
    pub expires_at: Option<UnixMicros>,
    pub revoked_at: Option<UnixMicros>,
}

impl Store {
    /// The token with this hash, unless it is revoked or expired.
    pub async fn system_find_admin_token(&self, hash: &[u8]) -> Result<Option<AdminToken>, StoreError> {
        const FIND: &str = "SELECT * FROM admin_tokens WHERE hash = $1 AND revoked_at IS NULL \
            AND (expires_at IS NULL OR expires_at > $2)";
        let row = self.database.row(FIND, values![hash, self.now()]).await?;
        row.as_ref().map(admin_token).transpose()
    }

    pub async fn system_list_admin_tokens(&self) -> Result<Vec<AdminToken>, StoreError> {
        let rows = self.database.rows("SELECT * FROM admin_tokens ORDER BY id", values![]).await?;
        rows.iter().map(admin_token).collect()
    }

    /// Makes a token. With `replace_all`, every other token is revoked in the same transaction.
    pub async fn system_create_admin_token(
        &self,
        actor: &Actor,
        name: &str,
        hash: &[u8],
        expires_at: Option<UnixMicros>,
        replace_all: bool,
    ) -> Result<AdminToken, StoreError> {
        const INSERT: &str = "INSERT INTO admin_tokens (id, name, hash, created_at, expires_at) \
            VALUES ($1, $2, $3, $4, $5)";
        check_name(name)?;
        let mut write = self.begin_write(actor).await?;
        if replace_all {
            let revoke = "UPDATE admin_tokens SET revoked_at = $1 WHERE revoked_at IS NULL";
            write.transaction.execute(revoke, values![write.now]).await?;
        }
        let created_at = write.now;
        let token = AdminToken {
            id: AdminTokenId::generate(),
            name: name.into(),
            created_at,
            expires_at,
            revoked_at: None,
        };
        let arguments = values![token.id, name, hash, created_at, expires_at];
        write.execute_named(ObjectKind::AdminToken, name, INSERT, arguments).await?;
        let after = json!({ "name": name, "expires_at": expires_at, "replaced_all": replace_all });
        write.record(changed(&token, Action::Create, Some(after))).await?;
        write.commit().await?;
        Ok(token)
    }

    /// Revokes a token; doing it twice is not an error.
    pub async fn system_revoke_admin_token(&self, actor: &Actor, id: AdminTokenId) -> Result<(), StoreError> {
        let mut write = self.begin_write(actor).await?;
        let row = write.transaction.row("SELECT * FROM admin_tokens WHERE id = $1", values![id]).await?;
        let token = admin_token(&row.ok_or_else(|| StoreError::not_found(ObjectKind::AdminToken, id))?)?;
        if token.revoked_at.is_none() {
            let revoke = "UPDATE admin_tokens SET revoked_at = $2 WHERE id = $1";
            write.transaction.execute(revoke, values![id, write.now]).await?;
            write.record(changed(&token, Action::Revoke, None)).await?;
            write.commit().await?;
        }
        Ok(())
    }
}

fn changed(token: &AdminToken, action: Action, after: Option<serde_json::Value>) -> Changed<'_> {
    Changed {
        kind: ObjectKind::AdminToken,
        id: token.id.as_uuid(),
        name: &token.name,
        organization_id: None,
        action,
        before: None,
        after,
    }
}

fn admin_token(row: &Row) -> Result<AdminToken, StoreError> {
    Ok(AdminToken {
        id: row.id("id")?,
        name: row.get("name")?,
        created_at: row.time("created_at")?,
        expires_at: row.optional_time("expires_at")?,
        revoked_at: row.optional_time("revoked_at")?,
    })
}
