variable "bucket" {
  description = "The bucket's name. Object Lock must be there from the beginning: it is a new bucket."
  type        = string
}

variable "adding_principals" {
  description = "Who may take on the role that can only add and read, as in a policy's Principal: {AWS = [\"arn:…\"]}. Empty: no role is made, the policies are."
  type        = map(list(string))
  default     = {}
}

variable "pruning_principals" {
  description = "The same for the role that can prune as well. Nobody should be in both."
  type        = map(list(string))
  default     = {}
}

variable "kms_key_arn" {
  description = "The key of SSE-KMS; null: SSE-S3. kms_key in the policy of desbuquei must name the same."
  type        = string
  default     = null
}

variable "abort_uploads_after_days" {
  description = "Uploads that were begun so many days ago and never completed are aborted. At least 2: desbuquei goes on with those of the last 24 hours."
  type        = number
  default     = 7

  validation {
    condition     = var.abort_uploads_after_days >= 2
    error_message = "An upload that was cut off is gone on with for 24 hours: 2 days at least."
  }
}

variable "probe_prefixes" {
  description = "Where `desbuquei doctor` leaves probes that the adding role cannot delete: <prefix>/probe/ for s3://bucket/<prefix>."
  type        = list(string)
  default     = ["probe/"]

  validation {
    condition     = alltrue([for each in var.probe_prefixes : endswith("/${each}", "/probe/")])
    error_message = "What is under these prefixes is deleted after a day: they must end in probe/."
  }
}
