# One vault: a bucket for backups, and two roles. docs/aws.md says what each part is for.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.70"
    }
  }
}
