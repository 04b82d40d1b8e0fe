from volans.client.base_publication cimport BasePublication

cdef class ExclusivePublication(BasePublication):
    pass
