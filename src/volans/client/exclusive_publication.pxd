from volans.client.base_publication cimport BasePublication

cdef class ExclusivePublication(BasePublication):
    cdef public bint revoke_on_close
