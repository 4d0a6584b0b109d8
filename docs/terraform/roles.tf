# What each role may do is in policies/*.json, which the tests compare with the calls that the code makes.

locals {
  principals = { adding = var.adding_principals, pruning = var.pruning_principals }
  roles      = { for name, who in local.principals : name => who if length(who) > 0 }
  granted    = { adding = ["adding", "never"], pruning = ["adding", "pruning", "never"] }
  documents  = concat(["adding", "pruning", "never"], var.kms_key_arn == null ? [] : ["key"])

  # One entry a role and document: `pruning/never`.
  attached = merge([
    for role in keys(local.roles) : {
      for document in concat(local.granted[role], var.kms_key_arn == null ? [] : ["key"]) :
      "${role}/${document}" => { role = role, document = document }
    }
  ]...)
}

resource "aws_iam_policy" "vault" {
  for_each = toset(local.documents)

  name        = "${var.bucket}-${each.key}"
  description = "Backups in ${var.bucket}: ${each.key}"
  policy = templatefile("${path.module}/policies/${each.key}.json", {
    bucket = aws_s3_bucket.vault.arn
    key    = var.kms_key_arn == null ? "" : var.kms_key_arn
  })
}

resource "aws_iam_role" "vault" {
  for_each = local.roles

  name = "${var.bucket}-${each.key}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = each.value }]
  })
}

resource "aws_iam_role_policy_attachment" "vault" {
  for_each = local.attached

  role       = aws_iam_role.vault[each.value.role].name
  policy_arn = aws_iam_policy.vault[each.value.document].arn
}
