output "s3_url" {
  description = "DESBUQUEI_S3_URL, if nothing else is in the bucket."
  value       = "s3://${aws_s3_bucket.vault.bucket}"
}

output "roles" {
  description = "The ARN of each role, `adding` for the backup host and `pruning`."
  value       = { for name, role in aws_iam_role.vault : name => role.arn }
}

output "policies" {
  description = "The ARN of each policy, for roles that are made elsewhere: `adding`, `pruning` (with `adding`), `never` (with both), `key`."
  value       = { for name, policy in aws_iam_policy.vault : name => policy.arn }
}
