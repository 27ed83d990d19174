# What imagesvc may do at the transit engine of Vault or OpenBao, mounted at `transit`.
# `create` is missing below encrypt on purpose: there it would make keys that are not there.
path "transit/keys" {
  capabilities = ["list"]
}
path "transit/keys/+" {
  capabilities = ["create", "read", "update"]
}
path "transit/keys/+/rotate" {
  capabilities = ["update"]
}
path "transit/datakey/plaintext/+" {
  capabilities = ["update"]
}
path "transit/encrypt/+" {
  capabilities = ["update"]
}
path "transit/decrypt/+" {
  capabilities = ["update"]
}
path "transit/rewrap/+" {
  capabilities = ["update"]
}
# OpenBao alone: to disable keys, and to enable them again.
path "transit/keys/+/soft-delete" {
  capabilities = ["delete"]
}
path "transit/keys/+/soft-delete-restore" {
  capabilities = ["update"]
}
# To look at the own token, and to renew it. The policy `default` allows it too.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
